// ModelProto -> ir::Graph: names, inputs, constants, nodes in order, then shape inference.
//
// Idea: every ONNX name is looked up once and becomes a typed id; what an operator's version means
// is decided in read_*.cc. Constants are initializers and Constant nodes alike. The graph that
// leaves has passed shape inference and verify.
// Reference: https://github.com/onnx/onnx/blob/main/docs/IR.md. Test: reader_test.cc.
#include <fmt/format.h>

#include <filesystem>

#include "onnx/node_reader.h"
#include "onnx/onnx.h"

namespace graupel::onnx {
namespace {

using ir::ValueId;

constexpr int64_t kNewestOpset = 22;

bool is_standard(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

// ---- opsets ----

Result<void> read_opsets(GraphReader& reader, const ::onnx::ModelProto& model) {
  for (const ::onnx::OperatorSetIdProto& import : model.opset_import()) {
    reader.opsets[is_standard(import.domain()) ? "" : import.domain()] = import.version();
  }
  if (model.ir_version() < 3 && !reader.opsets.contains("")) reader.opsets[""] = 1;
  reader.graph.source_ir_version = model.ir_version();
  if (!reader.opsets.contains("")) return ok();
  const int64_t opset = reader.opsets[""];
  reader.graph.source_opset = opset;
  if (opset < 1 || opset > kNewestOpset) {
    return unsupported("model", fmt::format("declares opset {}, expected 7 to {}; export it with "
                                            "opset 17",
                                            opset, kNewestOpset));
  }
  return ok();
}

// ---- types ----

std::string dim_text(const ::onnx::TensorShapeProto::Dimension& dim) {
  if (!dim.dim_param().empty()) return "the symbol '" + dim.dim_param() + "'";
  return dim.has_dim_value() ? std::to_string(dim.dim_value()) : std::string("open");
}

// The declared shape if every dimension is fixed.
std::optional<Shape> static_shape(const ::onnx::TypeProto::Tensor& type) {
  if (!type.has_shape()) return std::nullopt;
  Shape shape;
  for (const auto& dim : type.shape().dim()) {
    if (!dim.has_dim_value() || dim.dim_value() < 0) return std::nullopt;
    shape.push_back(dim.dim_value());
  }
  if (!element_count(shape)) return std::nullopt;
  return shape;
}

std::string hint(const std::string& name, const ::onnx::TypeProto::Tensor& type) {
  std::string shape;
  for (int i = 0; i < type.shape().dim_size(); ++i) {
    const auto& dim = type.shape().dim(i);
    if (i > 0) shape += 'x';
    shape +=
        dim.dim_value() > 0 ? std::to_string(dim.dim_value()) : std::string(i == 0 ? "1" : "?");
  }
  return fmt::format("give it with --shape {}={}", name, shape.empty() ? "..." : shape);
}

Result<std::optional<Shape>> input_shape(const GraphReader& reader, const std::string& name,
                                         const ::onnx::TypeProto::Tensor& type) {
  const auto given = reader.options.shapes.find(name);
  const std::string where = "input '" + name + "'";
  const bool lenient = reader.options.rule == ir::ShapeRule::kMayBeUnknown;
  if (given != reader.options.shapes.end()) {
    const size_t rank = static_cast<size_t>(type.shape().dim_size());
    if (type.has_shape() && rank != given->second.size()) {
      return invalid_input(where, fmt::format("has {} dimensions, but --shape gives {}", rank,
                                              to_string(given->second)));
    }
    return std::optional<Shape>(given->second);
  }
  if (!type.has_shape()) {
    if (lenient) return std::optional<Shape>();
    return invalid_input(where, "has no shape; " + hint(name, type));
  }
  Shape shape;
  for (int i = 0; i < type.shape().dim_size(); ++i) {
    const auto& dim = type.shape().dim(i);
    if (dim.dim_value() > 0) {
      shape.push_back(dim.dim_value());
    } else if (i == 0 && !lenient) {
      shape.push_back(reader.options.batch);
    } else if (lenient) {
      return static_shape(type);
    } else {
      return invalid_input(where, fmt::format("axis {} is {}, expected a fixed size; {}", i,
                                              dim_text(dim), hint(name, type)));
    }
  }
  if (!element_count(shape)) return invalid_input(where, "is too large: " + to_string(shape));
  return std::optional<Shape>(shape);
}

// ---- values ----

Result<ValueId> define(GraphReader& reader, const std::string& onnx_name, ir::Value value) {
  if (onnx_name.empty()) return invalid_input("", "defines a value without a name");
  value.name = onnx_name;
  if (reader.values.contains(onnx_name)) {
    return invalid_input("value '" + onnx_name + "'", "is defined twice");
  }
  reader.value_names.insert(onnx_name);
  const ValueId id = ir::add_value(reader.graph, std::move(value));
  reader.values.emplace(onnx_name, id);
  return id;
}

Result<ValueId> define_constant(GraphReader& reader, const std::string& name, Tensor tensor) {
  ir::Value value;
  value.dtype = tensor.dtype();
  value.shape = tensor.shape();
  value.constant = std::move(tensor);
  return define(reader, name, std::move(value));
}

Result<void> read_initializers(GraphReader& reader, ::onnx::GraphProto& graph) {
  if (graph.sparse_initializer_size() > 0) {
    return unsupported("tensor '" + graph.sparse_initializer(0).values().name() + "'",
                       "is a sparse initializer; export the model with dense weights");
  }
  for (::onnx::TensorProto& proto : *graph.mutable_initializer()) {
    TRY_ASSIGN(Tensor tensor, take_tensor(proto, reader.folder));
    TRY(define_constant(reader, proto.name(), std::move(tensor)));
    proto.Clear();
  }
  return ok();
}

Result<DType> tensor_dtype(const ::onnx::ValueInfoProto& info, const std::string& what) {
  if (!info.type().has_tensor_type()) {
    return unsupported(what + " '" + info.name() + "'", "is not a tensor (sequence, map, ...)");
  }
  const int32_t type = info.type().tensor_type().elem_type();
  if (const std::optional<DType> dtype = dtype_from_onnx(type)) return *dtype;
  return unsupported(what + " '" + info.name() + "'",
                     "has element type " + onnx_type_name(type) + ", which graupel does not take");
}

Result<void> read_inputs(GraphReader& reader, const ::onnx::GraphProto& graph) {
  std::string names;
  for (const ::onnx::ValueInfoProto& info : graph.input()) {
    // Up to IR version 3 initializers were listed here, too.
    if (reader.values.contains(info.name())) continue;
    names += (names.empty() ? "'" : ", '") + info.name() + "'";
    TRY_ASSIGN(const DType dtype, tensor_dtype(info, "input"));
    ir::Value value;
    value.dtype = dtype;
    TRY_ASSIGN(value.shape, input_shape(reader, info.name(), info.type().tensor_type()));
    TRY_ASSIGN(const ValueId id, define(reader, info.name(), std::move(value)));
    reader.graph.inputs.push_back(id);
  }
  for (const auto& [name, shape] : reader.options.shapes) {
    const auto found = reader.values.find(name);
    if (found == reader.values.end() || reader.graph.constant(found->second) != nullptr) {
      return invalid_input("--shape " + name, "names no input of the model; it has " +
                                                  (names.empty() ? "none" : names));
    }
  }
  return ok();
}

// Declared types help where inference cannot see. With changed input shapes, declared shapes of
// other values may no longer hold.
void read_declared(GraphReader& reader, const ::onnx::GraphProto& graph) {
  const bool shapes_hold = reader.options.shapes.empty();
  for (const auto* list : {&graph.value_info(), &graph.output()}) {
    for (const ::onnx::ValueInfoProto& info : *list) {
      if (!info.type().has_tensor_type()) continue;
      const ::onnx::TypeProto::Tensor& tensor = info.type().tensor_type();
      const std::optional<DType> dtype = dtype_from_onnx(tensor.elem_type());
      if (!dtype) continue;
      reader.declared[info.name()] = {*dtype, shapes_hold ? static_shape(tensor) : std::nullopt};
    }
  }
}

// ---- nodes ----

std::string node_name(GraphReader& reader, const ::onnx::NodeProto& node, int index) {
  std::string wanted = node.name();
  if (wanted.empty()) wanted = fmt::format("{}_{}", node.op_type(), index);
  std::string name = wanted;
  for (int64_t suffix = 1; reader.node_names.contains(name); ++suffix) {
    int64_t& counter = reader.name_counters["node " + wanted];
    counter = std::max(counter + 1, suffix);
    name = fmt::format("{}_{}", wanted, counter);
  }
  reader.node_names.insert(name);
  return name;
}

bool has_subgraph(const ::onnx::NodeProto& node) {
  for (const ::onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g() || attribute.graphs_size() > 0) return true;
  }
  return false;
}

Result<Tensor> constant_tensor(GraphReader& reader, ::onnx::NodeProto& node) {
  if (node.attribute_size() != 1) {
    return invalid_input("", fmt::format("has {} attributes, expected one", node.attribute_size()));
  }
  ::onnx::AttributeProto& value = *node.mutable_attribute(0);
  if (value.name() == "value") return take_tensor(*value.mutable_t(), reader.folder);
  if (value.name() == "value_float") return Tensor::scalar(value.f());
  if (value.name() == "value_int") return Tensor::scalar<int64_t>(value.i());
  if (value.name() == "value_floats") {
    const std::vector<float> values(value.floats().begin(), value.floats().end());
    return Tensor::of<float>({value.floats_size()}, values);
  }
  if (value.name() == "value_ints") {
    const std::vector<int64_t> values(value.ints().begin(), value.ints().end());
    return Tensor::of<int64_t>({value.ints_size()}, values);
  }
  return unsupported("", "has the attribute '" + value.name() + "', which graupel does not take");
}

Result<ir::Op> opaque_op(const GraphReader& reader, const ::onnx::NodeProto& node, int64_t opset) {
  const std::string domain = is_standard(node.domain()) ? "" : node.domain();
  const std::string type = domain.empty() ? node.op_type() : domain + "." + node.op_type();
  const bool subgraph = has_subgraph(node);
  if (reader.options.opaque == OpaquePolicy::kRefuse) {
    return unsupported("", fmt::format("{} (opset {}) is not an operator graupel computes{}; "
                                       "`graupel check` lists all such nodes",
                                       type, opset, subgraph ? " (it holds a subgraph)" : ""));
  }
  ::onnx::NodeProto attributes;
  *attributes.mutable_attribute() = node.attribute();
  ir::Opaque op{domain, node.op_type(), opset, serialize(attributes), subgraph};
  return ir::Op(std::move(op));
}

Result<void> read_node_inputs(NodeReader& node) {
  for (const std::string& name : node.node.input()) {
    if (name.empty()) {
      node.inputs.push_back(ValueId());
      continue;
    }
    const auto found = node.reader.values.find(name);
    if (found == node.reader.values.end()) {
      return invalid_input("", "reads '" + name +
                                   "', which no input, initializer or node before "
                                   "it defines");
    }
    node.inputs.push_back(found->second);
  }
  while (!node.inputs.empty() && !node.inputs.back().valid()) node.inputs.pop_back();
  return ok();
}

Result<std::vector<ValueId>> define_outputs(NodeReader& node) {
  std::vector<ValueId> outputs;
  for (int i = 0; i < node.node.output_size(); ++i) {
    const std::string& name = node.node.output(i);
    if (name.empty() || static_cast<size_t>(i) >= node.output_count) {
      outputs.push_back(ValueId());
      continue;
    }
    ir::Value value;
    if (const auto found = node.reader.declared.find(name); found != node.reader.declared.end()) {
      value.dtype = found->second.dtype;
      value.shape = found->second.shape;
    }
    TRY_ASSIGN(const ValueId id, define(node.reader, name, std::move(value)));
    outputs.push_back(id);
  }
  while (!outputs.empty() && !outputs.back().valid()) outputs.pop_back();
  return outputs;
}

Result<ir::Op> node_op(NodeReader& node) {
  if (is_standard(node.node.domain())) {
    // Refusals of a known operator's form become an opaque node only where those are kept.
    const std::vector<ValueId> inputs = node.inputs;
    Result<std::optional<ir::Op>> op = read_op(node);
    if (op.ok() && op->has_value()) return std::move(**op);
    const bool keep = node.reader.options.opaque == OpaquePolicy::kKeep;
    if (!op.ok() && !(keep && op.error().code == ErrorCode::kUnsupported)) {
      return std::move(op).error();
    }
    node.inputs = inputs;
    node.output_count = static_cast<size_t>(node.node.output_size());
  }
  return opaque_op(node.reader, node.node, node.opset);
}

Result<void> read_node(GraphReader& reader, ::onnx::NodeProto& proto, int index) {
  const std::string domain = is_standard(proto.domain()) ? "" : proto.domain();
  const auto opset = reader.opsets.find(domain);
  const bool is_constant = domain.empty() && proto.op_type() == "Constant";
  NodeReader node(reader, proto, is_constant ? "" : node_name(reader, proto, index),
                  opset == reader.opsets.end() ? 0 : opset->second);
  node.output_count = static_cast<size_t>(proto.output_size());
  const std::string where =
      is_constant ? fmt::format("Constant '{}'", proto.output_size() > 0 ? proto.output(0) : "")
                  : fmt::format("node '{}' ({})", node.name, proto.op_type());
  const auto located = [&](Error error) { return std::move(error).within(where); };
  if (opset == reader.opsets.end()) {
    return invalid_input(where, "is of domain '" + domain + "', which the model does not import");
  }
  if (is_constant && proto.output_size() == 1) {
    Result<Tensor> tensor = constant_tensor(reader, proto);
    if (!tensor.ok()) return located(std::move(tensor).error());
    TRY(define_constant(reader, proto.output(0), std::move(tensor).value()));
    return ok();
  }
  if (Result<void> read = read_node_inputs(node); !read.ok()) {
    return located(std::move(read).error());
  }
  Result<ir::Op> op = node_op(node);
  if (!op.ok()) return located(std::move(op).error());
  Result<std::vector<ValueId>> outputs = define_outputs(node);
  if (!outputs.ok()) return located(std::move(outputs).error());
  while (!node.inputs.empty() && !node.inputs.back().valid()) node.inputs.pop_back();
  return append_node(reader, {node.name, std::move(op).value(), std::move(node.inputs),
                              std::move(outputs).value()});
}

Result<void> read_outputs(GraphReader& reader, const ::onnx::GraphProto& graph) {
  for (const ::onnx::ValueInfoProto& info : graph.output()) {
    const auto found = reader.values.find(info.name());
    if (found == reader.values.end()) {
      return invalid_input("output '" + info.name() + "'", "is defined by no node");
    }
    reader.graph.outputs.push_back(found->second);
  }
  return ok();
}

void read_metadata(GraphReader& reader, const ::onnx::ModelProto& model) {
  reader.graph.name = model.graph().name();
  for (const ::onnx::StringStringEntryProto& entry : model.metadata_props()) {
    reader.graph.metadata[entry.key()] = entry.value();
  }
}

// Forms that need the whole graph's shapes: named here, where nodes and values are known.
Result<void> check_shapes(const ir::Graph& graph) {
  for (const ir::NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    for (const ValueId output : node.outputs) {
      if (!output.valid() || graph.value(output).shape) continue;
      return invalid_input(
          fmt::format("node '{}' ({})", node.name, ir::op_type(node.op)),
          fmt::format("the shape of its output '{}' cannot be derived from the inputs' shapes; "
                      "graupel needs static shapes",
                      graph.value(output).name));
    }
  }
  return ok();
}

Result<ir::Graph> build_graph(::onnx::ModelProto& model, const ReadOptions& options,
                              const std::string& folder) {
  GraphReader reader;
  reader.options = options;
  reader.folder.path = folder;
  if (options.batch <= 0) {
    return invalid_input("--batch", fmt::format("is {}, expected at least 1", options.batch));
  }
  TRY(read_opsets(reader, model));
  if (model.functions_size() > 0) {
    return unsupported("function '" + model.functions(0).name() + "'",
                       "is local to the model; export it with functions inlined");
  }
  read_metadata(reader, model);
  ::onnx::GraphProto& graph = *model.mutable_graph();
  read_declared(reader, graph);
  TRY(read_initializers(reader, graph));
  TRY(read_inputs(reader, graph));
  for (const ::onnx::NodeProto& node : graph.node()) {
    for (const std::string& output : node.output()) reader.value_names.insert(output);
  }
  for (int i = 0; i < graph.node_size(); ++i) TRY(read_node(reader, *graph.mutable_node(i), i));
  TRY(read_outputs(reader, graph));
  TRY_ASSIGN(ir::Graph inferred, ir::infer_shapes(std::move(reader.graph)));
  if (options.rule == ir::ShapeRule::kStatic) TRY(check_shapes(inferred));
  TRY(ir::verify(inferred, options.rule));
  return inferred;
}

}  // namespace

Result<ir::Graph> read_model(const std::string& path, const ReadOptions& options) {
  TRY_ASSIGN(::onnx::ModelProto model, read_model_proto(path));
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  Result<ir::Graph> graph = build_graph(model, options, folder);
  if (!graph.ok()) return std::move(graph).error().within(path);
  return graph;
}

Result<ir::Graph> parse_model(std::string_view bytes, const ReadOptions& options,
                              const std::string& data_folder) {
  TRY_ASSIGN(::onnx::ModelProto model, parse_model_proto(bytes));
  return build_graph(model, options, data_folder);
}

Result<Tensor> parse_tensor(std::string_view bytes) {
  ::onnx::TensorProto proto;
  if (bytes.size() > (uint64_t{1} << 31) - 1 ||
      !proto.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return corrupt("tensor", "is not a serialised ONNX tensor (protobuf cannot decode it)");
  }
  return take_tensor(proto, DataFolder());
}

std::string format_tensor(const Tensor& tensor, const std::string& name) {
  ::onnx::TensorProto proto;
  put_tensor(tensor, name, proto);
  return serialize(proto);
}

}  // namespace graupel::onnx
