// The stage `graupel train`: prepared windows in, a verified ONNX model out.
//
// Idea: windows -> loop (src/libtorch) -> graph -> the same answers as libtorch -> files. Written
// folder: model.onnx, normalization.json and class_names.txt (what `deploy` takes), training.toml
// (the whole configuration), log.csv (an epoch per line), training.json (what came out) and
// checkpoint.pt (to resume, refine or distil from). Reference: docs/training.md.
// Test: libtorch_test.cc; tests/cli/train_test.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "train/backend.h"
#include "train/export.h"
#include "train/training_set.h"

namespace graupel::train {

struct TrainOptions {
  SetOptions set;
  Config config;
  std::string output;
  int threads = 1;
  bool resume = false;
  std::string teacher;  // folder or checkpoint of another run, or empty
  std::string initial;  // likewise
  std::string scales;   // JSON of the quantizer: refine with integers (read_integer_forms)
  int64_t opset = 17;
};

struct Trained {
  Outcome outcome;
  std::vector<std::string> classes;
  int64_t train_windows = 0, parameters = 0;
  ExportCheck export_check;
  std::optional<Classification> validation, test;  // of the weights that are kept
};

// Errors: those of reading; kDevice without libtorch; kInternal if export and libtorch disagree.
Result<Trained> train(const TrainOptions& options, const Backend& backend,
                      const Progress& progress);

// The quantizer's numbers. Either its file of scales,
//   {"format": "graupel-encodings", "version": 1,
//    "tensors": {"NAME": {"type": "uint8", "scale": 0.02, "zero_point": 0}},
//    "layers": {"NODE": {"bits": 8, "scales": [0.001, 0.002]}}}
// (layers may be left out), or what `optimize --json` prints and `deploy --json` below "optimize":
//   {"points": [{"tensor": "NAME", "dtype": "int8", "scale": 0.1, "zero_point": 0}, ...]}
// Types int8, uint8, int16, uint16. Errors name the file and the tensor or node.
Result<IntegerForms> parse_integer_forms(const std::string& json, const std::string& name);
Result<IntegerForms> read_integer_forms(const std::string& path);

std::string format_log(const std::vector<EpochReport>& epochs);  // CSV with a header
std::string describe(const TrainOptions& options, const Trained& trained);
std::string training_json(const TrainOptions& options, const Trained& trained);

}  // namespace graupel::train
