// Files and command lines of a compilation. See job.h. Test: drive_test.cc.
#include "hailo/job.h"

#include <fmt/format.h>

#include <algorithm>

namespace graupel::hailo {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// A word as a POSIX shell takes it, whatever is in it.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return is_plain(c) || c == '-' || c == '.' || c == '/';
  });
  if (plain) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line = "hailo";
  for (const std::string& word : words) line += " " + quoted(word);
  return line;
}

constexpr Stage kStages[] = {Stage::kParser, Stage::kOptimize, Stage::kCompiler};

std::string local_script(const Job& job) {
  std::string text =
      "#!/bin/sh\n# Compiles the network on a machine that has the Dataflow Compiler (`hailo`).\n"
      "set -eu\ncd \"$(dirname \"$0\")\"\n";
  for (const Stage stage : kStages) text += shell_line(words_of(job, stage)) + "\n";
  return text + fmt::format("echo \"made {}.hef\"\n", job.name);
}

std::string container_script(const Job& job) {
  std::string copies;
  for (const auto& [file, bytes] : job.inputs) {
    copies += fmt::format("\"$ENGINE\" cp {0} \"$NAME\":/tmp/graupel/{0}\n", file);
  }
  std::string stages;
  for (const Stage stage : kStages) {
    stages += "\"$ENGINE\" exec --workdir /tmp/graupel \"$NAME\" " +
              shell_line(words_of(job, stage)) + "\n";
  }
  return fmt::format(R"SH(#!/bin/sh
# Compiles the network in the vendor's container: sh run_container.sh IMAGE [docker|podman]
# No display, no mounts; the container is removed at the end, also when interrupted.
set -eu
cd "$(dirname "$0")"
IMAGE="${{1:?name the image, e.g. hailo8_ai_sw_suite_2025-07:1}}"
ENGINE="${{2:-docker}}"
NAME="graupel-kit-$$"
trap '"$ENGINE" rm --force "$NAME" >/dev/null 2>&1 || true' EXIT
trap 'exit 130' INT TERM HUP
"$ENGINE" create --rm --name "$NAME" --entrypoint sleep "$IMAGE" 86400 >/dev/null
"$ENGINE" start "$NAME" >/dev/null
"$ENGINE" exec "$NAME" mkdir -p /tmp/graupel
{}{}"$ENGINE" cp "$NAME":/tmp/graupel/{}.hef .
echo "made {}.hef"
)SH",
                     copies, stages, job.name, job.name);
}

std::string readme(const Job& job) {
  return fmt::format(
      R"(What is here compiles one network for {} with the vendor's Dataflow Compiler.

  sh run_local.sh                  where `hailo` is installed
  sh run_container.sh IMAGE        with docker and the vendor's image
  sh run_container.sh IMAGE podman

Then, back where graupel is:

  graupel compile --hef {}.hef model.graupel -o model.graupel

  device.onnx      the float device part; already simplified, its end nodes are in the scripts
  calibration.npy  calibration windows, float32, channels last{}
  model.alls       the model script
)",
      job.target, job.name,
      job.random_calibration ? " (NOT here: random calibration was asked for)" : "");
}

}  // namespace

StageFiles files_of(const Job& job, Stage stage) {
  switch (stage) {
    case Stage::kParser: return {{kModelFile}, job.name + ".har"};
    case Stage::kOptimize: {
      StageFiles files{{job.name + ".har", kScriptFile}, job.name + "_optimized.har"};
      if (!job.random_calibration) files.inputs.push_back(kCalibrationFile);
      return files;
    }
    case Stage::kCompiler: return {{job.name + "_optimized.har"}, job.name + ".hef"};
  }
  return {};
}

std::vector<std::string> words_of(const Job& job, Stage stage) {
  const StageFiles files = files_of(job, stage);
  std::vector<std::string> words = {std::string(to_string(stage))};
  const auto add = [&](std::initializer_list<std::string> more) {
    words.insert(words.end(), more);
  };
  switch (stage) {
    case Stage::kParser:
      add({"onnx", kModelFile, "--net-name", job.name, "--har-path", files.output, "--hw-arch",
           job.target, "--disable-onnx-simplifier"});
      if (!job.end_nodes.empty()) add({"--end-node-names"});
      words.insert(words.end(), job.end_nodes.begin(), job.end_nodes.end());
      break;
    case Stage::kOptimize:
      add({files.inputs[0], "--hw-arch", job.target, "--model-script", kScriptFile,
           "--output-har-path", files.output});
      if (job.random_calibration) {
        add({"--use-random-calib-set"});
      } else {
        add({"--calib-set-path", kCalibrationFile});
      }
      break;
    case Stage::kCompiler:
      add({files.inputs[0], "--hw-arch", job.target, "--output-dir", ".", "--output-har-path",
           job.name + "_compiled.har"});
      break;
  }
  const auto extra = job.extra.find(stage);
  if (extra != job.extra.end()) {
    words.insert(words.end(), extra->second.begin(), extra->second.end());
  }
  return words;
}

std::string network_name(const std::string& model_name) {
  std::string name;
  for (const char c : model_name.substr(0, 100)) name += is_plain(c) ? c : '_';
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name = "net" + name;
  return name;
}

Result<Tensor> channels_last(const Tensor& windows) {
  if (windows.rank() == 2) return windows;
  if (windows.rank() != 4 || windows.dtype() != DType::kFloat32) {
    return unsupported("calibration windows",
                       "have shape " + graupel::to_string(windows.shape()) +
                           "; the vendor's compiler is fed float32 images of rank 4, or rank 2");
  }
  const Shape& shape = windows.shape();
  Tensor result(DType::kFloat32, {shape[0], shape[2], shape[3], shape[1]});
  const std::span<const float> from = windows.data<float>();
  const std::span<float> to = result.mutable_data<float>();
  const size_t channels = static_cast<size_t>(shape[1]);
  const size_t pixels = static_cast<size_t>(shape[2] * shape[3]);
  for (size_t i = 0; i < to.size(); ++i) {
    const size_t window = i / (channels * pixels);
    const size_t pixel = i / channels % pixels;
    to[i] = from[(window * channels + i % channels) * pixels + pixel];
  }
  return result;
}

std::map<std::string, std::string> kit_files(const Job& job) {
  std::map<std::string, std::string> files = job.inputs;
  files["run_local.sh"] = local_script(job);
  files["run_container.sh"] = container_script(job);
  files["README.txt"] = readme(job);
  return files;
}

}  // namespace graupel::hailo
