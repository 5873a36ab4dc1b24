// Operators in the forms of opsets 7 to 12 and 18 to 22 against ONNX Runtime: the fixtures of
// tests/data/onnx (made by make_fixtures.py there) are read, evaluated, written at opsets 11, 13
// and 17, checked by the standard's checker, read again and evaluated again.
#include <gtest/gtest.h>
#include <onnx/checker.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "base/files.h"
#include "ir/eval.h"
#include "onnx/onnx.h"
#include "onnx/proto.h"

namespace graupel::onnx {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRefusedEnding = ".refused.onnx";

std::vector<fs::path> fixtures(bool refused) {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(GRAUPEL_SOURCE_DIR "/tests/data/onnx")) {
    if (entry.path().extension() != ".onnx") continue;
    const bool is_refused = entry.path().string().ends_with(kRefusedEnding);
    if (is_refused == refused) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The tensors of NAME.pb, by name.
std::map<std::string, Tensor> values_of(const fs::path& model) {
  std::map<std::string, Tensor> values;
  const Result<std::string> bytes = read_file(fs::path(model).replace_extension(".pb").string());
  ::onnx::GraphProto proto;
  if (!bytes.ok() || !proto.ParseFromString(*bytes)) return values;
  for (::onnx::TensorProto& tensor : *proto.mutable_initializer()) {
    Result<Tensor> read = take_tensor(tensor, DataFolder());
    if (read.ok()) values.emplace(tensor.name(), std::move(read).value());
  }
  return values;
}

std::string difference(const Tensor& got, const Tensor& want) {
  if (got.dtype() != want.dtype() || got.shape() != want.shape()) {
    return std::string(to_string(got.dtype())) + " " + to_string(got.shape()) + " instead of " +
           std::string(to_string(want.dtype())) + " " + to_string(want.shape());
  }
  const std::vector<double> a = got.to_doubles(), b = want.to_doubles();
  const double relative = got.dtype() == DType::kFloat16 ? 1e-3 : 1e-4;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(a[i] - b[i]) <= 1e-5 + relative * std::abs(b[i]))) {
      return "element " + std::to_string(i) + " is " + std::to_string(a[i]) + " instead of " +
             std::to_string(b[i]);
    }
  }
  return "";
}

// What is wrong with the graph's answers to the fixture; empty if nothing is.
std::string disagreement(const ir::Graph& graph, const std::map<std::string, Tensor>& values) {
  std::vector<Tensor> inputs;
  for (const ir::ValueId id : graph.inputs) {
    const auto found = values.find(graph.value(id).name);
    if (found == values.end()) return "the fixture has no value for " + graph.value(id).name;
    inputs.push_back(found->second);
  }
  const Result<std::vector<Tensor>> outputs = ir::evaluate(graph, inputs);
  if (!outputs.ok()) return outputs.error().message();
  for (size_t i = 0; i < outputs->size(); ++i) {
    const std::string& name = graph.value(graph.outputs[i]).name;
    const auto found = values.find(name);
    if (found == values.end()) return "the fixture has no value for " + name;
    const std::string wrong = difference((*outputs)[i], found->second);
    if (!wrong.empty()) return name + ": " + wrong;
  }
  return "";
}

TEST(Versions, EveryFormAnswersAsOnnxRuntime) {
  const std::vector<fs::path> paths = fixtures(false);
  ASSERT_GE(paths.size(), 100u);
  for (const fs::path& path : paths) {
    const Result<ir::Graph> graph = read_model(path.string());
    if (!graph.ok()) {
      ADD_FAILURE() << graph.error().message();
      continue;
    }
    EXPECT_EQ(disagreement(*graph, values_of(path)), "") << path.stem();
  }
}

TEST(Versions, WhatIsWrittenAtOlderOpsetsAnswersTheSame) {
  // No form exists: the operator, its option, or its dtype is newer than the opset.
  const std::set<std::string> no_form = {
      "AveragePool_19_dilations at 11",      "AveragePool_19_dilations at 13",
      "AveragePool_19_dilations at 17",      "AveragePool_19_dilations_pads at 11",
      "AveragePool_19_dilations_pads at 13", "AveragePool_19_dilations_pads at 17",
      "DequantizeLinear_21_axis at 11",      "LayerNormalization_17 at 11",
      "LayerNormalization_17 at 13",         "QuantizeLinear_21_axis at 11"};
  std::set<std::string> refused;
  for (const fs::path& path : fixtures(false)) {
    const Result<ir::Graph> graph = read_model(path.string());
    if (!graph.ok()) continue;  // reported above
    const std::map<std::string, Tensor> values = values_of(path);
    for (const int64_t opset : {11, 13, 17}) {
      WriteOptions options;
      options.opset = opset;
      const std::string what = path.stem().string() + " at " + std::to_string(opset);
      const Result<std::string> bytes = format_model(*graph, options);
      if (!bytes.ok()) {
        refused.insert(what);
        EXPECT_EQ(bytes.error().code, ErrorCode::kUnsupported) << bytes.error().message();
        EXPECT_NE(bytes.error().message().find("node '"), std::string::npos)
            << bytes.error().message();
        continue;
      }
      ::onnx::ModelProto proto;
      ASSERT_TRUE(proto.ParseFromString(*bytes)) << what;
      try {
        ::onnx::checker::check_model(proto);
      } catch (const std::exception& error) {
        ADD_FAILURE() << what << ": " << error.what();
      }
      const Result<ir::Graph> again = parse_model(*bytes);
      if (!again.ok()) {
        ADD_FAILURE() << what << ": " << again.error().message();
        continue;
      }
      EXPECT_EQ(disagreement(*again, values), "") << what;
    }
  }
  EXPECT_EQ(refused, no_form);
}

TEST(Versions, WhatHasNoMeaningHereIsRefusedByName) {
  const std::vector<fs::path> paths = fixtures(true);
  ASSERT_GE(paths.size(), 8u);
  for (const fs::path& path : paths) {
    const Result<ir::Graph> graph = read_model(path.string());
    ASSERT_FALSE(graph.ok()) << path;
    EXPECT_EQ(graph.error().code, ErrorCode::kUnsupported) << graph.error().message();
    const std::string name = path.filename().string();
    const std::string type = name.substr(0, name.find('_'));
    EXPECT_NE(graph.error().message().find(type), std::string::npos) << graph.error().message();
    EXPECT_NE(graph.error().message().find("node '"), std::string::npos) << graph.error().message();
  }
}

}  // namespace
}  // namespace graupel::onnx
