// The ONNX standard's own models with inputs and expected outputs (Debian: libonnx-testdata), all
// of them, through the reader and the reference evaluator. Each passes, or is refused with one
// line; a wrong number is a failure. docs/conformance.md holds the result (UPDATE_GOLDEN=1 writes
// it). Tolerances are those of the standard's runner: rtol 1e-3, atol 1e-7.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "ir/eval.h"
#include "onnx/onnx.h"

namespace graupel {
namespace {

namespace fs = std::filesystem;

constexpr const char* kData = "/usr/share/libonnx-testdata/data";
constexpr const char* kPage = GRAUPEL_SOURCE_DIR "/docs/conformance.md";
constexpr const char* kSets[] = {"node", "simple", "pytorch-converted", "pytorch-operator"};

// The operators a CNN toolchain has to know; a model of these alone has to pass.
const std::set<std::string> kRequired = {"Conv",
                                         "ConvTranspose",
                                         "BatchNormalization",
                                         "Relu",
                                         "LeakyRelu",
                                         "PRelu",
                                         "Elu",
                                         "Clip",
                                         "Sigmoid",
                                         "HardSigmoid",
                                         "HardSwish",
                                         "Tanh",
                                         "MaxPool",
                                         "AveragePool",
                                         "GlobalAveragePool",
                                         "GlobalMaxPool",
                                         "Gemm",
                                         "MatMul",
                                         "Add",
                                         "Sub",
                                         "Mul",
                                         "Div",
                                         "Neg",
                                         "Abs",
                                         "Sqrt",
                                         "Exp",
                                         "Pow",
                                         "Min",
                                         "Max",
                                         "Round",
                                         "Floor",
                                         "Ceil",
                                         "Sign",
                                         "Erf",
                                         "Flatten",
                                         "Reshape",
                                         "Transpose",
                                         "Concat",
                                         "Split",
                                         "Squeeze",
                                         "Unsqueeze",
                                         "Slice",
                                         "Gather",
                                         "Pad",
                                         "Expand",
                                         "Tile",
                                         "Identity",
                                         "Constant",
                                         "ConstantOfShape",
                                         "Shape",
                                         "Cast",
                                         "Where",
                                         "ReduceMean",
                                         "ReduceSum",
                                         "ReduceMax",
                                         "ReduceMin",
                                         "Softmax",
                                         "LogSoftmax",
                                         "ArgMax",
                                         "Dropout",
                                         "Resize",
                                         "DepthToSpace",
                                         "SpaceToDepth",
                                         "InstanceNormalization",
                                         "LRN",
                                         "QuantizeLinear",
                                         "DequantizeLinear",
                                         "QLinearConv",
                                         "QLinearMatMul",
                                         "ConvInteger",
                                         "MatMulInteger"};

// Models of required operators that cannot pass, and why.
struct Exception {
  const char* name;
  const char* reason;
};
bool is_excepted(const std::string& name) {
  constexpr Exception kExceptions[] = {
      {"test_cast_FLOAT_to_STRING", "the IR has no strings"},
      {"test_cast_STRING_to_FLOAT", "the IR has no strings"},
      {"test_castlike_FLOAT_to_STRING", "the IR has no strings"},
      {"test_castlike_STRING_to_FLOAT", "the IR has no strings"},
      {"test_castlike_BFLOAT16_to_FLOAT_expanded", "the data of 'like' contradicts the model"},
      {"test_castlike_FLOAT_to_BFLOAT16_expanded", "the data of 'like' contradicts the model"},
      {"test_resize_downsample_sizes_nearest_tf_half_pixel_for_nn", "a mode opset 13 removed"},
      {"test_training_dropout", "the mask is random"},
      {"test_identity_sequence", "the IR has no sequences"},
      {"test_identity_opt", "the IR has no optional values"},
  };
  return std::any_of(std::begin(kExceptions), std::end(kExceptions),
                     [&](const Exception& e) { return name.rfind(e.name, 0) == 0; });
}

enum class Verdict { kPassed, kRefused, kFailed };
struct Outcome {
  Verdict verdict = Verdict::kPassed;
  std::string reason;
};

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Result<std::vector<Tensor>> load_tensors(const fs::path& folder, const std::string& kind) {
  std::vector<Tensor> tensors;
  for (size_t i = 0;; ++i) {
    const fs::path path = folder / fmt::format("{}_{}.pb", kind, i);
    if (!fs::exists(path)) return tensors;
    Result<Tensor> tensor = onnx::parse_tensor(slurp(path));
    if (!tensor.ok()) return std::move(tensor).error().within(path.filename().string());
    tensors.push_back(std::move(tensor).value());
  }
}

std::string difference(const Tensor& got, const Tensor& want) {
  if (got.dtype() != want.dtype() || got.shape() != want.shape()) {
    return fmt::format("got {} {}, expected {} {}", to_string(got.dtype()), to_string(got.shape()),
                       to_string(want.dtype()), to_string(want.shape()));
  }
  if (!is_float(got.dtype())) return got == want ? "" : "integers or bools differ";
  // The data truncate to bfloat16 where later releases of the standard round to even: one step.
  const double rtol = got.dtype() == DType::kBFloat16 ? 1.0 / 128 : 1e-3;
  const std::vector<double> a = got.to_doubles(), b = want.to_doubles();
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (!(std::abs(a[i] - b[i]) <= 1e-7 + rtol * std::abs(b[i]))) {
      return fmt::format("element {} is {}, expected {}", i, a[i], b[i]);
    }
  }
  return "";
}

// The test data store bfloat16 as uint16.
Tensor as_dtype(const Tensor& tensor, DType dtype) {
  if (dtype != DType::kBFloat16 || tensor.dtype() != DType::kUInt16) return tensor;
  Result<Tensor> adopted = Tensor::adopt(dtype, tensor.shape(), tensor.buffer());
  return adopted.ok() ? adopted.value() : tensor;
}

Outcome run_data_set(const fs::path& model, const fs::path& folder) {
  const Result<std::vector<Tensor>> inputs = load_tensors(folder, "input");
  if (!inputs.ok()) return {Verdict::kRefused, inputs.error().message()};
  const Result<std::vector<Tensor>> expected = load_tensors(folder, "output");
  if (!expected.ok()) return {Verdict::kRefused, expected.error().message()};
  onnx::ReadOptions options;
  options.rule = ir::ShapeRule::kMayBeUnknown;
  if (const Result<onnx::ModelSummary> summary = onnx::summarize(model.string()); summary.ok()) {
    for (size_t i = 0; i < std::min(summary->inputs.size(), inputs->size()); ++i) {
      options.shapes[summary->inputs[i].name] = inputs.value()[i].shape();
    }
  }
  const Result<ir::Graph> graph = onnx::read_model(model.string(), options);
  if (!graph.ok()) return {Verdict::kRefused, graph.error().message()};
  std::vector<Tensor> given;
  for (size_t i = 0; i < std::min(inputs->size(), graph->inputs.size()); ++i) {
    given.push_back(as_dtype(inputs.value()[i], graph->value(graph->inputs[i]).dtype));
  }
  const Result<std::vector<Tensor>> outputs = ir::evaluate(graph.value(), given);
  if (!outputs.ok()) return {Verdict::kRefused, outputs.error().message()};
  if (outputs->size() != expected->size()) return {Verdict::kFailed, "number of outputs differs"};
  for (size_t i = 0; i < outputs->size(); ++i) {
    const std::string what =
        difference(outputs.value()[i], as_dtype(expected.value()[i], outputs.value()[i].dtype()));
    if (!what.empty()) return {Verdict::kFailed, fmt::format("output {}: {}", i, what)};
  }
  return {};
}

Outcome run_model(const fs::path& folder) {
  for (size_t set = 0;; ++set) {
    const fs::path data = folder / fmt::format("test_data_set_{}", set);
    if (!fs::exists(data)) {
      return set > 0 ? Outcome{} : Outcome{Verdict::kRefused, "has no test data"};
    }
    Outcome outcome = run_data_set(folder / "model.onnx", data);
    if (outcome.verdict != Verdict::kPassed) return outcome;
  }
}

bool all_required(const std::map<std::string, int64_t>& operators) {
  return std::all_of(operators.begin(), operators.end(),
                     [](const auto& entry) { return kRequired.count(entry.first) > 0; });
}

TEST(Conformance, EveryModelOfTheStandardPassesOrIsRefused) {
  if (!fs::exists(kData)) GTEST_SKIP() << kData << " is missing; install libonnx-testdata";
  struct Count {
    int passed = 0, refused = 0;
  };
  std::map<std::string, Count> by_operators;
  std::string refusals;
  int passed = 0, refused = 0;
  for (const char* set : kSets) {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(fs::path(kData) / set)) {
      if (fs::exists(entry.path() / "model.onnx")) folders.push_back(entry.path());
    }
    std::sort(folders.begin(), folders.end());
    for (const fs::path& folder : folders) {
      const std::string name = folder.filename().string();
      const Result<onnx::ModelSummary> summary = onnx::summarize((folder / "model.onnx").string());
      std::string operators;
      if (summary.ok()) {
        for (const auto& [type, count] : summary->operators) {
          operators += (operators.empty() ? "" : ", ") + type;
        }
      }
      const Outcome outcome = run_model(folder);
      EXPECT_NE(outcome.verdict, Verdict::kFailed) << set << "/" << name << ": " << outcome.reason;
      Count& count = by_operators[operators];
      if (outcome.verdict == Verdict::kPassed) {
        ++passed;
        ++count.passed;
        continue;
      }
      ++refused;
      ++count.refused;
      std::string reason = outcome.reason;
      for (size_t at; (at = reason.find(kData)) != std::string::npos;) {
        reason.erase(at, std::string(kData).size() + 1);
      }
      refusals += fmt::format("- {}/{}: {}\n", set, name, reason);
      EXPECT_FALSE(summary.ok() && all_required(summary->operators) && !is_excepted(name))
          << set << "/" << name << " is made of required operators but refused: " << reason;
    }
  }
  EXPECT_GE(passed, 350);
  std::string page = fmt::format(
      "# Conformance\n\nThe ONNX standard's own models (Debian: libonnx-testdata) through the "
      "reader and the reference\nevaluator: {} passed, {} refused, 0 wrong. Written by "
      "`UPDATE_GOLDEN=1 conformance_test`.\n\n| operators | passed | refused |\n|---|---|---|\n",
      passed, refused);
  for (const auto& [operators, count] : by_operators) {
    page += fmt::format("| {} | {} | {} |\n", operators, count.passed, count.refused);
  }
  page += "\n## Refused, and why\n\n" + refusals;
  fmt::print("{} passed, {} refused\n", passed, refused);
  if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(kPage, std::ios::binary) << page;
  EXPECT_EQ(slurp(kPage), page) << "run with UPDATE_GOLDEN=1 and review the difference";
}

}  // namespace
}  // namespace graupel
