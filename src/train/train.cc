// From prepared windows to a model that answers as libtorch does. See train.h.
// Test: libtorch_test.cc; tests/cli/train_test.cc.
#include "train/train.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "data/preprocess.h"
#include "onnx/onnx.h"

namespace graupel::train {
namespace {

constexpr int64_t kProbeWindows = 64;
constexpr int64_t kAnswerBatch = 1024;

// Windows first, first + step, ... of a split, preprocessed.
Result<Tensor> preprocessed(const TrainingSet& set, const LabelledWindows& split, int64_t first,
                            int64_t count, int64_t step) {
  Shape shape = split.windows.shape();
  shape[0] = count;
  Tensor windows(DType::kFloat32, shape);
  const auto size = set.shape.size();
  const std::span<const float> source = split.windows.data<float>();
  const std::span<float> target = windows.mutable_data<float>();
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(source.begin() + (first + i * step) * size, size, target.begin() + i * size);
  }
  return data::preprocess(windows, set.normalization);
}

Result<std::optional<Classification>> judge(const Config& config, const Backend& backend,
                                            const TrainingSet& set, const LabelledWindows& split,
                                            const Weights& weights) {
  using Judged = std::optional<Classification>;
  if (split.count() == 0) return Judged{};
  std::vector<int64_t> guesses;
  for (int64_t first = 0; first < split.count(); first += kAnswerBatch) {
    const int64_t count = std::min(kAnswerBatch, split.count() - first);
    TRY_ASSIGN(const Tensor windows, preprocessed(set, split, first, count, 1));
    TRY_ASSIGN(const Answers answers, backend.answer(config.network, weights, windows));
    const std::vector<int64_t> rows = argmax_rows(answers.logits);
    guesses.insert(guesses.end(), rows.begin(), rows.end());
  }
  TRY_ASSIGN(Classification result,
             classify(guesses, split.labels, static_cast<int64_t>(set.classes.size())));
  return Judged{std::move(result)};
}

std::string checkpoint_of(const std::string& path) {
  std::error_code failed;
  return !path.empty() && std::filesystem::is_directory(path, failed) ? path + "/checkpoint.pt"
                                                                      : path;
}

Result<void> write_model(const TrainOptions& options, const TrainingSet& set,
                         const ir::Graph& graph) {
  onnx::WriteOptions write;
  write.opset = options.opset;
  TRY(onnx::write_model(options.output + "/model.onnx", graph, write));
  TRY(write_file_atomic(options.output + "/normalization.json",
                        data::format_normalization(set.normalization)));
  std::string names;
  for (const std::string& name : set.classes) names += name + "\n";
  return write_file_atomic(options.output + "/class_names.txt", names);
}

Result<ExportCheck> check(const Config& config, const Backend& backend, const TrainingSet& set,
                          const Weights& weights, const ir::Graph& graph) {
  const LabelledWindows& split = set.validation.count() > 0 ? set.validation : set.train;
  const int64_t count = std::min(kProbeWindows, split.count());
  TRY_ASSIGN(const Tensor probe, preprocessed(set, split, 0, count, split.count() / count));
  TRY_ASSIGN(const Answers answers, backend.answer(config.network, weights, probe));
  return check_export(graph, probe, answers);
}

Result<void> check_turning(const TrainOptions& options, const TrainingSet& set) {
  if (options.config.augmentation.rotation_deg == 0.0 || set.shape.channels % 3 == 0) return ok();
  return invalid_input(options.set.folder,
                       fmt::format("has {} channels, which are no triplets x y z to turn; set "
                                   "augmentation.rotation_deg = 0",
                                   set.shape.channels));
}

// The graph as it will be exported, with weights of 0: its names and shapes.
Result<ir::Graph> empty_graph(const Config& config, const TrainingSet& set) {
  using Shapes = std::map<std::string, Shape>;
  const auto classes = static_cast<int64_t>(set.classes.size());
  TRY_ASSIGN(const Shapes shapes, weight_shapes(config.network, set.shape, classes));
  Weights weights;
  for (const auto& [name, shape] : shapes) weights[name] = Tensor(DType::kFloat32, shape);
  return build_graph(config.network, set.shape, classes, weights);
}

// Scales of another network would round nothing, or the wrong channels.
Result<void> check_forms(const IntegerForms& forms, const ir::Graph& graph,
                         const std::string& name) {
  const bool known = std::any_of(forms.tensors.begin(), forms.tensors.end(), [&](const auto& form) {
    return ir::find_value(graph, form.first).has_value();
  });
  if (!known) {
    return invalid_input(name,
                         fmt::format("names no tensor of this network, whose tensors are called "
                                     "like '{}'",
                                     graph.value(graph.nodes[0].outputs[0]).name));
  }
  for (const auto& [layer, form] : forms.layers) {
    const std::optional<ir::NodeId> node = ir::find_node(graph, layer);
    if (!node) continue;  // the quantizer names nodes that the simplifier made, too
    const int64_t channels = graph.shape(graph.node(*node).inputs.at(1))[0];
    const auto count = static_cast<int64_t>(form.scales.size());
    if (count != 1 && count != channels) {
      return invalid_input(name, fmt::format("{} has {} scales; the layer has {} output channels",
                                             layer, count, channels));
    }
  }
  return ok();
}

}  // namespace

Result<Trained> train(const TrainOptions& options, const Backend& backend,
                      const Progress& progress) {
  TRY(check_config(options.config));
  TRY_ASSIGN(const TrainingSet set, load_training_set(options.set));
  TRY(check_turning(options, set));
  TRY(weight_shapes(options.config.network, set.shape, static_cast<int64_t>(set.classes.size())));
  std::error_code failed;
  std::filesystem::create_directories(options.output, failed);
  if (failed) return io_error(options.output, "cannot be made: " + failed.message());

  Job job{options.config,
          &set,
          options.threads,
          options.output + "/checkpoint.pt",
          options.resume,
          checkpoint_of(options.teacher),
          checkpoint_of(options.initial),
          {}};
  if (!options.scales.empty()) {
    TRY_ASSIGN(job.forms, read_integer_forms(options.scales));
    TRY_ASSIGN(const ir::Graph graph, empty_graph(options.config, set));
    TRY(check_forms(*job.forms, graph, options.scales));
  }
  TRY(write_file_atomic(options.output + "/training.toml", format_config(options.config)));
  Trained trained;
  TRY_ASSIGN(trained.outcome, backend.train(job, progress));
  trained.classes = set.classes;
  trained.train_windows = set.train.count();

  const Weights& weights = trained.outcome.weights;
  TRY_ASSIGN(const ir::Graph graph, build_graph(options.config.network, set.shape,
                                                static_cast<int64_t>(set.classes.size()), weights));
  trained.parameters = ir::parameter_count(graph);
  TRY_ASSIGN(trained.export_check, check(options.config, backend, set, weights, graph));
  TRY(write_model(options, set, graph));
  TRY_ASSIGN(trained.validation, judge(options.config, backend, set, set.validation, weights));
  TRY_ASSIGN(trained.test, judge(options.config, backend, set, set.test, weights));
  TRY(write_file_atomic(options.output + "/log.csv", format_log(trained.outcome.epochs)));
  TRY(write_file_atomic(options.output + "/training.json", training_json(options, trained)));
  return trained;
}

}  // namespace graupel::train
