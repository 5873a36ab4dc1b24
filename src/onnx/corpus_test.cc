// The standard's own models: each is read or refused by name, and every one that is read comes
// back from the writer as a model the standard's checker accepts and as the same graph.
#include <gtest/gtest.h>
#include <onnx/checker.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "onnx/onnx.h"
#include "onnx/proto.h"

namespace graupel::onnx {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> corpus() {
  std::vector<std::string> paths;
  for (const fs::directory_entry& entry :
       fs::recursive_directory_iterator("/usr/share/libonnx-testdata/data")) {
    if (entry.path().filename() == "model.onnx") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

// Values and nodes by name, independent of ids and of constants nobody reads.
std::string describe(const ir::Graph& graph) {
  Result<ir::Graph> compact = ir::compact(graph);
  if (!compact.ok()) return compact.error().message();
  std::string text;
  const auto value_text = [&](ir::ValueId id) {
    if (!id.valid()) return std::string("-");
    const ir::Value& value = compact->value(id);
    std::string line = value.name + ":" + std::string(to_string(value.dtype)) + ":" +
                       (value.shape ? to_string(*value.shape) : "?");
    if (value.constant && value.constant->size() > 0) {
      line += "=" + std::string(reinterpret_cast<const char*>(value.constant->bytes()),
                                value.constant->size_bytes());
    }
    return line;
  };
  for (const ir::ValueId id : compact->inputs) text += "in " + value_text(id) + "\n";
  for (const ir::ValueId id : compact->outputs) text += "out " + value_text(id) + "\n";
  for (const ir::NodeId id : ir::live_nodes(*compact)) {
    const ir::Node& node = compact->node(id);
    text += node.name + " " + std::string(ir::op_type(node.op));
    for (const ir::ValueId input : node.inputs) text += " " + value_text(input);
    text += " ->";
    for (const ir::ValueId output : node.outputs) text += " " + value_text(output);
    text += "\n";
  }
  return text;
}

// Operator structs of both graphs, node by node.
bool same_operators(const ir::Graph& a, const ir::Graph& b) {
  const Result<ir::Graph> left = ir::compact(a);
  const Result<ir::Graph> right = ir::compact(b);
  if (!left.ok() || !right.ok() || left->nodes.size() != right->nodes.size()) return false;
  for (size_t i = 0; i < left->nodes.size(); ++i) {
    if (!(left->nodes[i].op == right->nodes[i].op)) return false;
  }
  return true;
}

TEST(Corpus, ReadModelsSurviveWritingAndTheChecker) {
  ReadOptions options;
  options.rule = ir::ShapeRule::kMayBeUnknown;
  int read_count = 0;
  int refused = 0;
  const std::vector<std::string> paths = corpus();
  ASSERT_EQ(paths.size(), 1072u);
  for (const std::string& path : paths) {
    const Result<ir::Graph> graph = read_model(path, options);
    if (!graph.ok()) {
      ++refused;
      EXPECT_FALSE(graph.error().what.empty()) << path;
      EXPECT_TRUE(graph.error().code == ErrorCode::kUnsupported) << graph.error().message();
      continue;
    }
    ++read_count;
    WriteOptions write_options;
    write_options.opset = 17;
    const Result<std::string> bytes = format_model(*graph, write_options);
    ASSERT_TRUE(bytes.ok()) << path << ": " << bytes.error().message();
    EXPECT_EQ(*bytes, *format_model(*graph, write_options)) << path;
    ::onnx::ModelProto proto;
    ASSERT_TRUE(proto.ParseFromString(*bytes)) << path;
    EXPECT_NO_THROW(::onnx::checker::check_model(proto)) << path;
    const Result<ir::Graph> again = parse_model(*bytes, options);
    ASSERT_TRUE(again.ok()) << path << ": " << again.error().message();
    EXPECT_EQ(describe(*again), describe(*graph)) << path;
    EXPECT_TRUE(same_operators(*again, *graph)) << path;
  }
  EXPECT_GE(read_count, 780);
  EXPECT_EQ(read_count + refused, 1072);
}

TEST(Corpus, OpaqueNodesAreKeptAndWrittenBack) {
  ReadOptions options;
  options.rule = ir::ShapeRule::kMayBeUnknown;
  options.opaque = OpaquePolicy::kKeep;
  int kept = 0;
  for (const std::string& path : corpus()) {
    const Result<ir::Graph> graph = read_model(path, options);
    if (!graph.ok()) continue;
    const bool opaque = std::any_of(
        graph->nodes.begin(), graph->nodes.end(),
        [](const ir::Node& node) { return std::holds_alternative<ir::Opaque>(node.op); });
    if (!opaque) continue;
    ++kept;
    WriteOptions write_options;
    write_options.opset = 17;
    const Result<std::string> bytes = format_model(*graph, write_options);
    if (!bytes.ok()) {
      EXPECT_EQ(bytes.error().code, ErrorCode::kUnsupported) << path;
      continue;
    }
    options.rule = ir::ShapeRule::kMayBeUnknown;
    const Result<ir::Graph> again = parse_model(*bytes, options);
    ASSERT_TRUE(again.ok()) << path << ": " << again.error().message();
    EXPECT_EQ(describe(*again), describe(*graph)) << path;
  }
  EXPECT_GE(kept, 200);
}

TEST(Corpus, TheExampleModelComesBackInEveryOpset) {
  const Result<ir::Graph> graph =
      read_model(std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu_synthetic.onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  for (int64_t opset = 11; opset <= 17; ++opset) {
    WriteOptions write_options;
    write_options.opset = opset;
    const Result<std::string> bytes = format_model(*graph, write_options);
    ASSERT_TRUE(bytes.ok()) << opset << ": " << bytes.error().message();
    ::onnx::ModelProto proto;
    ASSERT_TRUE(proto.ParseFromString(*bytes));
    EXPECT_NO_THROW(::onnx::checker::check_model(proto));
    const Result<ir::Graph> again = parse_model(*bytes);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(again->source_opset, opset);
    EXPECT_EQ(again->nodes.size(), graph->nodes.size());
    EXPECT_TRUE(same_operators(*again, *graph)) << opset;
  }
}

TEST(Corpus, TestTensorsComeBack) {
  int count = 0;
  for (const fs::directory_entry& entry :
       fs::recursive_directory_iterator("/usr/share/libonnx-testdata/data/simple")) {
    if (entry.path().extension() != ".pb") continue;
    const Result<std::string> bytes = read_file(entry.path().string());
    ASSERT_TRUE(bytes.ok());
    const Result<Tensor> tensor = parse_tensor(*bytes);
    if (!tensor.ok()) continue;  // strings, sequences
    ++count;
    const Result<Tensor> again = parse_tensor(format_tensor(*tensor, "t"));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *tensor);
  }
  EXPECT_GE(count, 10);
}

}  // namespace
}  // namespace graupel::onnx
