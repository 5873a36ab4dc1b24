// One run: epochs of AdamW steps, validation, checkpoints. See loop.h.
//
// Reference: Loshchilov, Hutter 2019 (arXiv 1711.05101) for AdamW; Smith, Topin 2018 (arXiv
// 1708.07120) for one cycle; Hinton et al. 2015 (arXiv 1503.02531) for distillation; Izmailov et
// al. 2018 (arXiv 1803.05407) for averaging weights. Test: libtorch_test.cc.
#include "libtorch/loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "libtorch/batches.h"
#include "libtorch/checkpoint.h"

namespace graupel::libtorch {
namespace {

using train::Config;
using train::EpochReport;
using train::Job;

constexpr double kPi = 3.14159265358979323846;
constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kAdamEpsilon = 1e-8;
constexpr double kOneCycleStart = 1.0 / 25.0, kOneCycleEnd = 1e-4;
constexpr size_t kEvaluationBatch = 512;

struct Teacher {
  Config config;
  State state;
};

struct Training {
  const Job& job;
  const train::TrainingSet& set;
  Checkpoint now;
  std::optional<Teacher> teacher;
  at::Tensor weights;  // of the classes; undefined without

  const train::Optimization& options() const { return job.config.optimization; }
  bool refines() const { return job.forms.has_value(); }
};

// ---- one step ----

void adamw_step(Training& run, double rate) {
  at::NoGradGuard no_gradient;
  Checkpoint& now = run.now;
  ++now.steps;
  const double correction1 = 1.0 - std::pow(kBeta1, static_cast<double>(now.steps));
  const double correction2 = 1.0 - std::pow(kBeta2, static_cast<double>(now.steps));
  for (auto& [name, weight] : now.state) {
    if (!is_trained(name) || !weight.grad().defined()) continue;
    const at::Tensor gradient = weight.grad();
    // Biases and the norms' gains are not pulled to zero.
    if (weight.dim() > 1) weight.mul_(1.0 - rate * run.options().weight_decay);
    at::Tensor& first = now.first[name];
    at::Tensor& second = now.second[name];
    first.mul_(kBeta1).add_(gradient, 1.0 - kBeta1);
    second.mul_(kBeta2).addcmul_(gradient, gradient, 1.0 - kBeta2);
    const at::Tensor denominator = (second / correction2).sqrt_().add_(kAdamEpsilon);
    weight.addcdiv_(first, denominator, -rate / correction1);
    weight.mutable_grad().zero_();
  }
}

void average(Training& run) {
  if (run.options().averaging == 0.0) return;
  at::NoGradGuard no_gradient;
  // A short memory at first, so that untrained weights are forgotten. Weights that are trained
  // already count like every later step (Izmailov et al. 2018).
  const double steps = static_cast<double>(run.now.steps);
  const double since =
      run.job.initial.empty() ? (1.0 + steps) / (10.0 + steps) : steps / (1.0 + steps);
  const double decay = std::min(run.options().averaging, since);
  for (const auto& [name, weight] : run.now.state) {
    run.now.averaged[name].mul_(decay).add_(weight.detach(), 1.0 - decay);
  }
}

at::Tensor loss_of(Training& run, const at::Tensor& logits, const Batch& batch) {
  at::Tensor loss = at::cross_entropy_loss(logits, batch.labels, run.weights, at::Reduction::Mean,
                                           -100, run.options().label_smoothing);
  if (!run.teacher) return loss;
  at::Tensor wanted;
  {
    at::NoGradGuard no_gradient;
    const Run teacher{run.teacher->config.network, Mode::kEvaluate, nullptr};
    wanted = forward(teacher, run.teacher->state, batch.windows).logits;
  }
  const train::Distillation& distillation = run.job.config.distillation;
  const double t = distillation.temperature;
  const at::Tensor soft = at::kl_div(at::log_softmax(logits / t, 1), at::log_softmax(wanted / t, 1),
                                     at::Reduction::Sum, true) /
                          logits.size(0);
  return (1.0 - distillation.weight) * loss + distillation.weight * t * t * soft;
}

// ---- validation ----

struct Evaluation {
  double loss = 0.0, accuracy_percent = 0.0;
  std::optional<train::CodeUsage> usage;
};

Result<Evaluation> evaluate(Training& run, const train::LabelledWindows& split) {
  at::NoGradGuard no_gradient;
  State& state = run.now.averaged.empty() ? run.now.state : run.now.averaged;
  const Run mode{run.job.config.network, run.refines() ? Mode::kEvaluateRefined : Mode::kEvaluate,
                 run.refines() ? &*run.job.forms : nullptr};
  const auto count = static_cast<size_t>(split.count());
  double loss = 0.0, right = 0.0;
  std::vector<at::Tensor> digits;
  for (size_t first = 0; first < count; first += kEvaluationBatch) {
    const size_t last = std::min(count, first + kEvaluationBatch);
    TRY_ASSIGN(const Batch batch, plain_batch(run.set, split, first, last));
    const Forward answer = forward(mode, state, batch.windows);
    loss +=
        at::cross_entropy_loss(answer.logits, batch.labels, {}, at::Reduction::Sum).item<double>();
    right += answer.logits.argmax(1).eq(batch.labels).sum().item<double>();
    if (answer.digits.defined()) digits.push_back(answer.digits);
  }
  Evaluation result{
      loss / static_cast<double>(count), 100.0 * right / static_cast<double>(count), {}};
  if (!digits.empty()) {
    result.usage = code_usage(at::cat(digits), run.job.config.network.fsq_levels);
  }
  return result;
}

// ---- one epoch ----

Result<EpochReport> learn_epoch(Training& run, int64_t epoch, const train::Progress& progress) {
  const train::Optimization& options = run.options();
  const auto count = static_cast<size_t>(run.set.train.count());
  const auto size = static_cast<size_t>(options.batch);
  const auto steps = static_cast<int64_t>((count + size - 1) / size);
  const std::vector<size_t> order = shuffled(count, options.seed, epoch);
  // Dropout draws from torch's generator; a resumed run has to draw the same.
  torch::manual_seed(options.seed * 1000003u + static_cast<uint64_t>(epoch));
  const Run mode{run.job.config.network, run.refines() ? Mode::kRefine : Mode::kLearn,
                 run.refines() ? &*run.job.forms : nullptr};
  EpochReport report;
  report.epoch = epoch;
  double right = 0.0;
  std::vector<at::Tensor> digits;
  for (int64_t step = 0; step < steps; ++step) {
    const size_t first = static_cast<size_t>(step) * size;
    const size_t last = std::min(count, first + size);
    TRY_ASSIGN(const Batch batch, make_batch(run.set, run.job.config, epoch, order, first, last));
    const Forward answer = forward(mode, run.now.state, batch.windows);
    const at::Tensor loss = loss_of(run, answer.logits, batch);
    loss.backward();
    report.learning_rate =
        options.learning_rate *
        schedule_factor(options, (epoch - 1) * steps + step, options.epochs * steps);
    adamw_step(run, report.learning_rate);
    average(run);
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
      return invalid_input("training", fmt::format("the loss is not finite in epoch {}, step {}; "
                                                   "lower optimization.learning_rate",
                                                   epoch, step + 1));
    }
    report.train_loss += value * static_cast<double>(last - first) / static_cast<double>(count);
    right += answer.logits.detach().argmax(1).eq(batch.labels).sum().item<double>();
    if (answer.digits.defined()) digits.push_back(answer.digits);
    if (progress) progress({epoch, options.epochs, step + 1, steps, value, nullptr});
  }
  report.train_accuracy_percent = 100.0 * right / static_cast<double>(count);
  if (!digits.empty()) {
    report.usage = code_usage(at::cat(digits), run.job.config.network.fsq_levels);
  }
  return report;
}

State copy_of(const State& state) {
  State copy;
  for (const auto& [name, tensor] : state) copy[name] = tensor.detach().clone();
  return copy;
}

// Validation, the code's usage, and whether these are the weights to keep.
Result<void> judge_epoch(Training& run, EpochReport& report) {
  const bool validates = run.set.validation.count() > 0;
  if (validates) {
    TRY_ASSIGN(const Evaluation seen, evaluate(run, run.set.validation));
    report.validation_loss = seen.loss;
    report.validation_accuracy_percent = seen.accuracy_percent;
    report.usage = seen.usage;
  }
  const bool chooses = validates && run.options().patience > 0;
  report.best = !chooses || run.now.best_epoch == 0 || *report.validation_loss < run.now.best_loss;
  if (!report.best) return ok();
  run.now.best_epoch = report.epoch;
  run.now.best_loss = report.validation_loss.value_or(0.0);
  if (chooses) run.now.best = copy_of(run.now.averaged.empty() ? run.now.state : run.now.averaged);
  return ok();
}

// ---- where a run starts ----

Result<Checkpoint> read_fitting(const std::string& path, const train::TrainingSet& set) {
  TRY_ASSIGN(Checkpoint other, read_checkpoint(path));
  if (other.shape == set.shape && other.classes == static_cast<int64_t>(set.classes.size())) {
    return other;
  }
  return invalid_input(path, fmt::format("is of {} x {} x {} windows and {} classes; these windows "
                                         "are {} x {} x {} with {}",
                                         other.shape.channels, other.shape.sensors,
                                         other.shape.samples, other.classes, set.shape.channels,
                                         set.shape.sensors, set.shape.samples, set.classes.size()));
}

Result<void> start(Training& run) {
  const auto classes = static_cast<int64_t>(run.set.classes.size());
  torch::manual_seed(run.options().seed);
  TRY_ASSIGN(State state, initial_state(run.job.config.network, run.set.shape, classes));
  if (!run.job.initial.empty()) {
    TRY_ASSIGN(const Checkpoint other, read_fitting(run.job.initial, run.set));
    const State& weights = kept_weights(other);
    for (auto& [name, tensor] : state) {
      const auto found = weights.find(name);
      if (found == weights.end() || found->second.sizes() != tensor.sizes()) {
        return invalid_input(run.job.initial, fmt::format("is of another network: '{}' differs; "
                                                          "give the configuration it was made with",
                                                          name));
      }
    }
    state = copy_of(weights);
  }
  run.now.config = train::format_config(run.job.config);
  run.now.shape = run.set.shape;
  run.now.classes = classes;
  run.now.state = std::move(state);
  if (run.options().averaging > 0.0) run.now.averaged = copy_of(run.now.state);
  for (const auto& [name, tensor] : run.now.state) {
    if (!is_trained(name)) continue;
    run.now.first[name] = at::zeros_like(tensor);
    run.now.second[name] = at::zeros_like(tensor);
  }
  return ok();
}

Result<void> resume(Training& run) {
  TRY_ASSIGN(run.now, read_fitting(run.job.checkpoint, run.set));
  if (run.now.config == train::format_config(run.job.config)) return ok();
  return invalid_input(run.job.checkpoint,
                       "is of a run with another configuration; resume with that "
                       "one, or start anew in another folder");
}

Result<void> set_up(Training& run) {
  std::error_code failed;
  if (run.job.resume && std::filesystem::exists(run.job.checkpoint, failed)) {
    TRY(resume(run));
  } else {
    TRY(start(run));
  }
  for (auto& [name, tensor] : run.now.state) {
    // With integers BatchNorm's gain and bias are part of weights that are rounded, and learn too.
    if (is_trained(name)) tensor.requires_grad_(true);
  }
  if (!run.job.teacher.empty()) {
    TRY_ASSIGN(const Checkpoint other, read_fitting(run.job.teacher, run.set));
    TRY_ASSIGN(Config config, train::parse_config(other.config, run.job.teacher));
    run.teacher = Teacher{std::move(config), copy_of(kept_weights(other))};
  }
  if (run.options().class_weights) {
    run.weights = at::tensor(
        class_weights(run.set.train.labels, static_cast<int64_t>(run.set.classes.size())));
  }
  return ok();
}

bool is_patience_over(const Training& run, int64_t epoch) {
  const int64_t patience = run.options().patience;
  return patience > 0 && run.set.validation.count() > 0 && epoch - run.now.best_epoch >= patience;
}

}  // namespace

double schedule_factor(const train::Optimization& run, int64_t step, int64_t steps) {
  if (run.schedule == train::Schedule::kConstant) return 1.0;
  const double rising = run.warmup * static_cast<double>(steps);
  const double at = static_cast<double>(step);
  const auto cosine = [](double from, double to, double part) {
    return to + (from - to) * 0.5 * (1.0 + std::cos(kPi * part));
  };
  const bool one_cycle = run.schedule == train::Schedule::kOneCycle;
  if (at < rising) {
    const double part = (at + 1.0) / (rising + 1.0);
    return one_cycle ? cosine(kOneCycleStart, 1.0, part) : part;
  }
  const double length = std::max(1.0, static_cast<double>(steps) - rising);
  return cosine(1.0, one_cycle ? kOneCycleEnd : 0.0, (at - rising) / length);
}

std::vector<float> class_weights(const std::vector<int64_t>& labels, int64_t classes) {
  std::vector<int64_t> counts(static_cast<size_t>(classes), 0);
  for (const int64_t label : labels) ++counts[static_cast<size_t>(label)];
  const auto present = static_cast<double>(
      std::count_if(counts.begin(), counts.end(), [](int64_t n) { return n > 0; }));
  std::vector<float> weights;
  for (const int64_t count : counts) {
    weights.push_back(count == 0 ? 0.0f
                                 : static_cast<float>(static_cast<double>(labels.size()) /
                                                      (present * static_cast<double>(count))));
  }
  return weights;
}

train::CodeUsage code_usage(const at::Tensor& digits, const std::vector<int64_t>& levels) {
  const at::Tensor plain = digits.contiguous();
  const int64_t* const values = plain.data_ptr<int64_t>();
  const auto dimensions = static_cast<int64_t>(levels.size());
  std::map<std::vector<int64_t>, int64_t> codes;
  std::vector<std::map<int64_t, int64_t>> seen(levels.size());
  for (int64_t row = 0; row < plain.size(0); ++row) {
    const std::vector<int64_t> code(values + row * dimensions, values + (row + 1) * dimensions);
    ++codes[code];
    for (size_t i = 0; i < code.size(); ++i) ++seen[i][code[i]];
  }
  train::CodeUsage usage{static_cast<int64_t>(codes.size()), 0.0, 1.0};
  double entropy = 0.0;
  for (const auto& [code, count] : codes) {
    const double share = static_cast<double>(count) / static_cast<double>(plain.size(0));
    entropy -= share * std::log(share);
  }
  usage.perplexity = std::exp(entropy);
  for (size_t i = 0; i < levels.size(); ++i) {
    usage.least_digits = std::min(
        usage.least_digits, static_cast<double>(seen[i].size()) / static_cast<double>(levels[i]));
  }
  return usage;
}

Result<train::Outcome> run_training(const Job& job, const train::Progress& progress) {
  at::set_num_threads(job.threads);
  Training run{job, *job.set, {}, {}, {}};
  if (run.refines() && job.initial.empty()) {
    return invalid_input("training", "refinement with integers starts from a trained checkpoint");
  }
  TRY(set_up(run));
  train::Outcome outcome;
  auto epoch = static_cast<int64_t>(run.now.epochs.size()) + 1;
  outcome.stopped_early = is_patience_over(run, epoch - 1);
  for (; epoch <= run.options().epochs && !outcome.stopped_early; ++epoch) {
    TRY_ASSIGN(EpochReport report, learn_epoch(run, epoch, progress));
    TRY(judge_epoch(run, report));
    run.now.epochs.push_back(report);
    if (!job.checkpoint.empty()) TRY(write_checkpoint(job.checkpoint, run.now));
    if (progress) progress({epoch, run.options().epochs, 0, 0, report.train_loss, &report});
    outcome.stopped_early = epoch < run.options().epochs && is_patience_over(run, epoch);
  }
  outcome.weights = to_weights(kept_weights(run.now));
  outcome.epochs = run.now.epochs;
  return outcome;
}

}  // namespace graupel::libtorch
