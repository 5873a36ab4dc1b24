// Looking around the machine. See doctor.h.
//
// Nothing of the vendor's is loaded or run: files and devices are looked for where their packages
// put them. Test: doctor_test.cc.
#include "deploy/doctor.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "base/parallel.h"
#include "kernels/dispatch.h"
#include "npu/machine.h"

namespace graupel::deploy {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::error_code ignored;
    const fs::path candidate = fs::path(folder) / program;
    if (!folder.empty() && fs::is_regular_file(candidate, ignored)) return candidate.string();
  }
  return std::nullopt;
}

Diagnosis row(std::string what, std::optional<std::string> found, std::string needed_for) {
  return {std::move(what), found.has_value(), found.value_or(""), std::move(needed_for), false};
}

Diagnosis cpu() {
  std::string names;
  for (const kernels::Isa isa : kernels::supported_isas()) {
    names += (names.empty() ? "" : ", ") + std::string(kernels::to_string(isa));
  }
  const Result<kernels::Isa> chosen = kernels::choose_isa();
  const std::string choice =
      chosen.ok() ? std::string(kernels::to_string(*chosen)) : chosen.error().message();
  return {"CPU engine", chosen.ok(),
          fmt::format("uses {} (has {}), {} cores", choice, names, available_cores()), choice,
          true};
}

}  // namespace

std::vector<Diagnosis> examine_machine() {
  std::optional<std::string> containers = on_path("docker");
  if (!containers) containers = on_path("podman");
  std::vector<Diagnosis> rows = {
      cpu(),
      row("Dataflow Compiler (hailo)", on_path("hailo"), "compiling device.onnx to a HEF"),
      row("docker or podman", containers, "the Dataflow Compiler in the vendor's container"),
  };
  for (npu::MachineRow& hailo : npu::examine_hailo("/")) {
    Diagnosis diagnosis{std::move(hailo.what), hailo.good, {}, "running a HEF on the NPU", false};
    if (hailo.good) {
      diagnosis.detail = std::move(hailo.found);
    } else {
      diagnosis.needed_for = hailo.found.empty() ? hailo.remedy : hailo.found + "; " + hailo.remedy;
    }
    rows.push_back(std::move(diagnosis));
  }
  return rows;
}

}  // namespace graupel::deploy
