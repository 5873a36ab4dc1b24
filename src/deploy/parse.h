// Stages 1 to 4: read, simplify, check, cut. From an ONNX file to a parsed bundle.
// Test: deploy_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bundle/bundle.h"
#include "check/check.h"
#include "cut/cut.h"
#include "data/statistics.h"
#include "ir/graph.h"
#include "onnx/onnx.h"
#include "quantize/lift_qdq.h"
#include "simplify/simplify.h"

namespace graupel::deploy {

inline constexpr std::string_view kVersion = "0.1.0";

struct ParseOptions {
  onnx::ReadOptions read;
  simplify::SimplifyOptions simplify;
  std::string target = "hailo8";
  cut::CutOptions cut;
  std::vector<std::string> class_names;  // empty: unnamed
};

// Everything the first four stages know about a network.
struct Parsed {
  std::string file;
  std::string file_sha256;
  uint64_t file_bytes = 0;
  ir::Graph original;
  simplify::Simplified simplified;
  check::Target target;
  check::CheckReport findings;
  cut::Cut cut;
  std::vector<std::string> class_names;
  // Of a file that is quantised already; `original` is then the float network in it.
  std::optional<quantize::Encodings> scales;
  std::vector<std::string> scale_remarks;
};

// Reads and simplifies only.
struct Loaded {
  std::string sha256;
  uint64_t size_bytes = 0;
  check::CheckOptions facts;  // what the file says and the graph no longer tells
  ir::Graph original;
};
Result<Loaded> load(const std::string& path, const onnx::ReadOptions& options);

// A file in QDQ format is taken apart: its scales are those that `optimize` uses.
// Errors name the file and the node. kInternal if the recombined halves differ from the whole.
Result<Parsed> parse(const std::string& path, const ParseOptions& options);

// `check` on a file that may hold anything: unknown operators and open shapes are findings.
Result<check::CheckReport> check_file(const std::string& path, const check::Target& target,
                                      onnx::ReadOptions options, bool as_is);

// Members scales.json (of a file in QDQ format), device.onnx, host.onnx, before.onnx (if there is
// work in front of the device), labels (if classes have names) and reports/parse.json.
Result<bundle::Bundle> to_bundle(const Parsed& parsed);

}  // namespace graupel::deploy
