// One compilation: its files and the three command lines that make a HEF of them.
// Test: drive_test.cc.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "hailo/arguments.h"
#include "hailo/process.h"

namespace graupel::hailo {

struct Job {
  std::string name;                    // of the network: letters, digits, '_' (see network_name)
  std::string target;                  // "hailo8" or "hailo8l"
  std::vector<std::string> end_nodes;  // of device.onnx
  std::map<std::string, std::string> inputs;        // by file name: the three below
  bool random_calibration = false;                  // then there is no calibration.npy
  std::map<Stage, std::vector<std::string>> extra;  // the user's own words, checked
};

inline constexpr const char* kModelFile = "device.onnx";
inline constexpr const char* kCalibrationFile = "calibration.npy";
inline constexpr const char* kScriptFile = "model.alls";

struct StageFiles {
  std::vector<std::string> inputs;
  std::string output;
};
StageFiles files_of(const Job& job, Stage stage);

// The words of the stage behind `hailo`; every path is relative to the folder of the files.
std::vector<std::string> words_of(const Job& job, Stage stage);

// Letters, digits and '_'; "net" in front if it would begin with a digit or be empty.
std::string network_name(const std::string& model_name);

// float32 windows [N, C, H, W] as the compiler wants them, [N, H, W, C]; [N, C] stays. Error
// kUnsupported for another rank.
Result<Tensor> channels_last(const Tensor& windows);

// Everything for a machine that has the compiler: the inputs, run_local.sh, run_container.sh and a
// README, by file name. The scripts end in `NAME.hef`.
std::map<std::string, std::string> kit_files(const Job& job);

}  // namespace graupel::hailo
