// Quantised networks with what the CPU plan answers, for another runtime to repeat.
//
// Idea: the exported graph is standard ONNX, so ONNX Runtime has to give the plan's bytes. For each
// case a folder gets <name>.onnx, <name>.input.npy and <name>.<output>.npy; compare.py runs them.
// Cases: the device part of every shipped network, networks built like MobileNetV2 and ResNet-18,
// and random convolution networks.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "compile/compile.h"
#include "cut/cut.h"
#include "data/npy.h"
#include "onnx/onnx.h"
#include "quantize/quantize.h"
#include "quantize/test_nets.h"
#include "run/load.h"
#include "simplify/simplify.h"

namespace graupel {
namespace {

using quantize::random_net;
using quantize::random_tensor_of;

constexpr int kRandomNets = 120;
constexpr int64_t kWindows = 64, kCompared = 24;

Result<void> write_case(const std::string& folder, const std::string& name, const ir::Graph& device,
                        const Tensor& windows, const quantize::QuantizeOptions& options) {
  TRY_ASSIGN(const quantize::Quantized quantized, quantize::quantize(device, windows, options));
  TRY_ASSIGN(const std::string bytes, onnx::format_model(quantized.graph));
  // What is run is what the file says.
  TRY_ASSIGN(const ir::Graph read, onnx::parse_model(bytes));
  TRY_ASSIGN(const run::Plan plan, compile::compile_plan({}, read, {}, {}));
  TRY_ASSIGN(const run::Engine engine, run::load_engine(plan));
  Shape shape = windows.shape();
  shape[0] = std::min(shape[0], kCompared);
  Tensor some(DType::kFloat32, shape);
  std::copy_n(windows.bytes(), some.size_bytes(), some.mutable_bytes());
  TRY_ASSIGN(const std::vector<Tensor> outputs, run::run_windows(engine, some));
  const std::string base = folder + "/" + name;
  TRY(write_file_atomic(base + ".onnx", bytes));
  TRY(data::write_npy(base + ".input.npy", some));
  for (size_t i = 0; i < outputs.size(); ++i) {
    TRY(data::write_npy(base + ".output" + std::to_string(i) + ".npy", outputs[i]));
  }
  return ok();
}

Result<ir::Graph> device_part(const std::string& path) {
  TRY_ASSIGN(const ir::Graph graph, onnx::read_model(path));
  TRY_ASSIGN(const simplify::Simplified simplified, simplify::simplify(graph));
  std::vector<bool> supported;
  for (const ir::Node& node : simplified.graph.nodes) {
    supported.push_back(ir::op_type(node.op) != "Round");
  }
  TRY_ASSIGN(const cut::Cut parts, cut::cut(simplified.graph, supported, {}));
  return parts.device;
}

Result<void> write_all(const std::string& folder) {
  quantize::QuantizeOptions options;
  options.noise_windows = 1;
  options.sensitivity_windows = 0;
  std::vector<std::filesystem::path> models;
  for (const auto& entry : std::filesystem::directory_iterator(GRAUPEL_SOURCE_DIR "/models")) {
    if (entry.path().extension() == ".onnx") models.push_back(entry.path());
  }
  std::sort(models.begin(), models.end());
  Rng rng(1);
  for (const std::filesystem::path& model : models) {
    TRY_ASSIGN(const ir::Graph device, device_part(model));
    Shape shape = device.shape(device.inputs[0]);
    shape[0] = kWindows;
    TRY(write_case(folder, model.stem(), device, random_tensor_of(rng, shape, 1.0), options));
  }
  for (const auto& [name, net] : {std::pair{"mobilenet_like", quantize::mobilenet_like()},
                                  std::pair{"resnet_like", quantize::resnet_like()}}) {
    Shape shape = net.shape(net.inputs[0]);
    shape[0] = kWindows;
    TRY(write_case(folder, name, net, random_tensor_of(rng, shape, 1.0), options));
  }
  options.level = quantize::kRoundOnly;
  for (int i = 0; i < kRandomNets; ++i) {
    const ir::Graph net = random_net(static_cast<uint64_t>(i) + 1);
    Shape shape = net.shape(net.inputs[0]);
    shape[0] = kWindows;
    options.scheme = i % 3 == 0 ? quantize::Scheme::kAsymmetric : quantize::Scheme::kSymmetric;
    options.four_bit_share = i % 4 == 0 ? 0.5 : 0.0;
    const Result<void> written = write_case(folder, "random" + std::to_string(i), net,
                                            random_tensor_of(rng, shape, 1.5), options);
    if (!written.ok()) return Error(written.error()).within("random" + std::to_string(i));
  }
  return ok();
}

}  // namespace
}  // namespace graupel

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  const graupel::Result<void> done = graupel::write_all(argv[1]);
  if (done.ok()) return 0;
  std::fprintf(stderr, "%s\n", done.error().message().c_str());
  return 1;
}
