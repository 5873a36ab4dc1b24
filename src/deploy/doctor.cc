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

#include "base/files.h"
#include "base/parallel.h"
#include "kernels/dispatch.h"

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

// The first file whose name starts with `prefix` in one of the loader's usual folders.
std::optional<std::string> library(const std::string& prefix) {
  for (const char* folder : {"/usr/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu",
                             "/usr/lib/aarch64-linux-gnu", "/lib/aarch64-linux-gnu"}) {
    std::error_code failed;
    for (fs::directory_iterator it(folder, failed), end; !failed && it != end;
         it.increment(failed)) {
      if (it->path().filename().string().starts_with(prefix)) return it->path().string();
    }
  }
  return std::nullopt;
}

std::optional<std::string> first_device() {
  for (int index = 0; index < 16; ++index) {
    const std::string path = fmt::format("/dev/hailo{}", index);
    std::error_code ignored;
    if (fs::exists(path, ignored)) return path;
  }
  return std::nullopt;
}

std::optional<std::string> driver_version() {
  const Result<std::string> text = read_file("/sys/module/hailo_pci/version", 256);
  if (!text.ok()) return std::nullopt;
  return text->substr(0, text->find('\n'));
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
  return {
      cpu(),
      row("Dataflow Compiler (hailo)", on_path("hailo"), "compiling device.onnx to a HEF"),
      row("docker or podman", containers, "the Dataflow Compiler in the vendor's container"),
      row("libhailort", library("libhailort.so"), "running a HEF on the NPU"),
      row("hailo_pci driver", driver_version(), "reaching the NPU"),
      row("Hailo device", first_device(), "running a HEF on the NPU"),
  };
}

}  // namespace graupel::deploy
