// The model script graupel writes, and how a user's own goes on top. Test: make_script_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "hailo/findings.h"
#include "hailo/script.h"

namespace graupel::hailo {

struct NmsOptions {
  std::string meta_arch;  // "yolov8", "ssd", ...
  std::string config;     // JSON file as the compiler will see it; empty: none
  std::string engine = "cpu";
};

struct ScriptOptions {
  // On the device, per channel: (x - mean) / std. Empty: windows arrive normalised.
  std::vector<double> mean, std;
  std::optional<int64_t> optimization_level;  // empty: 2 with 1024 windows or more, else 1
  int64_t compression_level = 0;
  int64_t calibration_windows = 0;  // as many as there are
  // layer, glob or list -> precision, e.g. {"output_layer1", "a16_w16"}
  std::vector<std::pair<std::string, std::string>> precision;
  std::string compiler_effort;  // performance_param's compiler_optimization_level; empty: none
  std::optional<double> fps;    // performance_param's fps
  std::vector<std::pair<std::string, std::string>> allocator;  // allocator_param's settings
  std::vector<std::pair<std::string, std::string>> resources;  // resources_param's settings
  std::optional<NmsOptions> nms;
};

// Errors: kInvalidInput naming the option whose text is no value of a script.
Result<Script> make_script(const ScriptOptions& options);

// Both scripts as one: ours first, without the settings theirs makes too, then theirs byte for
// byte. `dropped` says which of ours gave way.
struct Merged {
  Script script;
  std::vector<Finding> dropped;
};
Merged merge(const Script& ours, const Script& theirs);

}  // namespace graupel::hailo
