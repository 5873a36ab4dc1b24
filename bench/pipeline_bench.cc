// Speed of whole commands: `deploy` on the example (1000 calibration, 2000 validation windows), and
// reading, simplifying and checking a network of ResNet-50's size with its memory as a multiple of
// the file. The file is made here: 53 convolutions with BatchNormalization, 16 residual adds, 25.5
// M parameters, batch left open as exporters do.
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/rng.h"
#include "data/npy.h"
#include "data/synth.h"
#include "deploy/deploy.h"

namespace {

using namespace graupel;

std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / ("graupel_bench_" + name)).string();
}

// ---- deploy ----

Result<void> write_windows(const std::string& name, int64_t windows, int64_t first_subject,
                           deploy::WindowOptions& options) {
  data::SynthOptions synth;
  synth.windows = windows;
  synth.subjects = 20;
  synth.first_subject = first_subject;
  TRY_ASSIGN(const data::SynthSet set, data::synth_windows(synth));
  options.windows = temporary(name + "_windows.npy");
  options.labels = temporary(name + "_labels.npy");
  TRY(data::write_npy(options.windows, set.windows));
  return data::write_npy(options.labels, set.labels);
}

void deploy_example(benchmark::State& state) {
  deploy::DeployOptions options;
  options.model = GRAUPEL_SOURCE_DIR "/models/fsq_imu_synthetic.onnx";
  options.calibration.normalization =
      GRAUPEL_SOURCE_DIR "/models/fsq_imu_synthetic.normalization.json";
  options.output = temporary("fsq.graupel");
  options.report = temporary("report.html");
  if (!write_windows("calibration", 1000, 200, options.calibration).ok() ||
      !write_windows("validation", 2000, 300, options.validation).ok()) {
    return state.SkipWithError("cannot write windows");
  }
  for (auto _ : state) {
    const Result<deploy::Deployed> deployed = deploy::deploy(options);
    if (!deployed.ok()) return state.SkipWithError(deployed.error().message().c_str());
  }
}
BENCHMARK(deploy_example)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

// ---- a network of ResNet-50's size ----

struct NetBuilder {
  ir::Graph graph;
  Rng rng{1};
  int layers = 0;

  ir::ValueId constant(const std::string& name, const Shape& shape, double scale, double offset) {
    Tensor tensor(DType::kFloat32, shape);
    for (float& value : tensor.mutable_data<float>()) {
      value = static_cast<float>(offset + scale * (rng.uniform() - 0.5));
    }
    return ir::add_value(graph, {name, DType::kFloat32, shape, std::move(tensor)});
  }
  ir::ValueId node(const std::string& name, ir::Op op, std::vector<ir::ValueId> inputs) {
    const Result<ir::NodeId> id = ir::add_node(graph, name, std::move(op), std::move(inputs));
    return id.ok() ? graph.node(*id).outputs[0] : ir::ValueId();
  }
  ir::ValueId conv_bn(ir::ValueId x, int64_t out, int64_t kernel, int64_t stride, bool relu) {
    const std::string name = "/layer" + std::to_string(layers++);
    const int64_t in = graph.shape(x)[1], pad = kernel / 2;
    ir::Conv conv;
    conv.window = {{kernel, kernel}, {stride, stride}, {1, 1}, {pad, pad, pad, pad}, {}};
    x = node(name + "/Conv", conv,
             {x, constant(name + ".weight", {out, in, kernel, kernel}, 0.1, 0.0)});
    x = node(
        name + "/BatchNormalization", ir::BatchNormalization{},
        {x, constant(name + ".gamma", {out}, 0.2, 1.0), constant(name + ".beta", {out}, 0.2, 0.0),
         constant(name + ".mean", {out}, 0.2, 0.0), constant(name + ".var", {out}, 0.2, 1.0)});
    return relu ? node(name + "/Relu", ir::Unary{ir::UnaryKind::kRelu}, {x}) : x;
  }
  ir::ValueId bottleneck(ir::ValueId x, int64_t width, int64_t stride) {
    const int64_t out = 4 * width;
    ir::ValueId y = conv_bn(x, width, 1, 1, true);
    y = conv_bn(y, width, 3, stride, true);
    y = conv_bn(y, out, 1, 1, false);
    const bool project = stride != 1 || graph.shape(x)[1] != out;
    const ir::ValueId skip = project ? conv_bn(x, out, 1, stride, false) : x;
    const std::string name = "/add" + std::to_string(layers);
    y = node(name + "/Add", ir::Binary{ir::BinaryKind::kAdd}, {y, skip});
    return node(name + "/Relu", ir::Unary{ir::UnaryKind::kRelu}, {y});
  }
};

ir::Graph resnet_50() {
  NetBuilder net;
  ir::ValueId x = ir::add_input(net.graph, "image", DType::kFloat32, {1, 3, 224, 224});
  x = net.conv_bn(x, 64, 7, 2, true);
  ir::MaxPool pool;
  pool.window = {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {}};
  x = net.node("/maxpool/MaxPool", pool, {x});
  const std::pair<int64_t, int> stages[] = {{64, 3}, {128, 4}, {256, 6}, {512, 3}};
  for (const auto& [width, blocks] : stages) {
    for (int block = 0; block < blocks; ++block) {
      x = net.bottleneck(x, width, block == 0 && width != 64 ? 2 : 1);
    }
  }
  x = net.node("/avgpool/GlobalAveragePool", ir::GlobalPool{}, {x});
  x = net.node("/Flatten", ir::Flatten{}, {x});
  ir::Gemm gemm;
  gemm.transpose_b = true;
  x = net.node("/fc/Gemm", gemm,
               {x, net.constant("fc.weight", {1000, 2048}, 0.1, 0.0),
                net.constant("fc.bias", {1000}, 0.1, 0.0)});
  net.graph.outputs.push_back(x);
  net.graph.name = "resnet50";
  return net.graph;
}

Result<void> simplify_and_check(const std::string& path) {
  TRY_ASSIGN(const check::Target target, check::load_target("hailo8"));
  TRY_ASSIGN(ir::Graph graph, onnx::read_model(path));
  TRY_ASSIGN(const simplify::Simplified simplified, simplify::simplify(std::move(graph)));
  benchmark::DoNotOptimize(check::check(simplified.graph, target).findings.size());
  return ok();
}

// Peak memory of one run in a process of its own, beyond that of a process that does nothing.
double peak_bytes(const std::string& path) {
  long peak_kib[2] = {0, 0};
  for (int work = 0; work < 2; ++work) {
    const pid_t child = fork();
    if (child == 0) _exit(work == 0 || simplify_and_check(path).ok() ? 0 : 1);
    struct rusage usage {};
    int status = 0;
    wait4(child, &status, 0, &usage);
    peak_kib[work] = usage.ru_maxrss;
  }
  return 1024.0 * static_cast<double>(peak_kib[1] - peak_kib[0]);
}

void simplify_and_check_resnet_50(benchmark::State& state) {
  const std::string path = temporary("resnet50.onnx");
  if (!onnx::write_model(path, resnet_50()).ok()) return state.SkipWithError("cannot write model");
  const auto file_bytes = static_cast<double>(std::filesystem::file_size(path));
  const double memory = peak_bytes(path);
  for (auto _ : state) {
    const Result<void> done = simplify_and_check(path);
    if (!done.ok()) return state.SkipWithError(done.error().message().c_str());
  }
  state.counters["file_MB"] = file_bytes / 1e6;
  state.counters["memory_per_file"] = memory / file_bytes;
  std::filesystem::remove(path);
}
BENCHMARK(simplify_and_check_resnet_50)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(5);

}  // namespace
