// The training loop against PyTorch's own modules and optimizer, published FSQ vectors, the
// quantizer's graph, and itself after an interruption.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/files.h"
#include "base/rng.h"
#include "cut/cut.h"
#include "ir/eval.h"
#include "libtorch/batches.h"
#include "libtorch/checkpoint.h"
#include "libtorch/loop.h"
#include "libtorch/network.h"
#include "quantize/quantize.h"
#include "simplify/simplify.h"
#include "train/export.h"
#include "train/names.h"
#include "train/train.h"

namespace graupel::libtorch {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr train::WindowShape kShape = {9, 2, 32};
constexpr int64_t kClasses = 3;

// Waves whose frequency is the class, on a random channel phase: easy, but not for a linear layer.
train::LabelledWindows waves(int64_t count, uint64_t seed, int64_t person) {
  Rng rng(seed);
  train::LabelledWindows set;
  set.windows = Tensor(DType::kFloat32, {count, kShape.channels, kShape.sensors, kShape.samples});
  float* value = set.windows.mutable_data<float>().data();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t label = i % kClasses;
    set.labels.push_back(label);
    set.people.push_back(person);
    for (int64_t row = 0; row < kShape.channels * kShape.sensors; ++row) {
      const double phase = rng.uniform(0.0, 6.28);
      for (int64_t t = 0; t < kShape.samples; ++t) {
        const double angle = 0.3 * static_cast<double>(t * (1 + 2 * label)) + phase;
        *value++ = static_cast<float>(std::sin(angle) + 0.3 * rng.normal());
      }
    }
  }
  return set;
}

train::TrainingSet wave_set() {
  train::TrainingSet set;
  set.shape = kShape;
  set.classes = {"slow", "middle", "fast"};
  set.normalization = {std::vector<double>(9, 0.0), std::vector<double>(9, 1.0)};
  set.train = waves(240, 1, 1);
  set.validation = waves(90, 2, 2);
  return set;
}

train::Config small_config() {
  train::Config config = train::default_config();
  config.network.layers = {{8, {1, 5}, {1, 2}, {1, 1}, false}, {12, {2, 3}, {1, 1}, {1, 2}, false}};
  config.network.fsq_levels = {5, 4, 4};
  config.network.hidden = 16;
  config.optimization.epochs = 6;
  config.optimization.batch = 24;
  config.optimization.learning_rate = 1e-2;
  config.augmentation.rotation_deg = 5.0;
  return config;
}

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Rng rng(seed);
  Tensor tensor(DType::kFloat32, shape);
  for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(rng.normal());
  return tensor;
}

std::string temporary(const std::string& name) {
  return fmt::format("{}graupel_libtorch_{}_{}", testing::TempDir(), getpid(), name);
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

// The same network of PyTorch's modules, its weights copied.
struct Modules {
  torch::nn::Sequential body, tail;
  explicit Modules(const train::Network& network, const State& state) {
    int64_t channels = kShape.channels;
    for (const train::Layer& layer : network.layers) {
      const torch::ExpandingArray<2> kernel({layer.kernel[0], layer.kernel[1]});
      body->push_back(torch::nn::Conv2d(
          torch::nn::Conv2dOptions(channels, layer.channels, kernel)
              .stride(torch::ExpandingArray<2>({layer.stride[0], layer.stride[1]}))
              .padding(torch::ExpandingArray<2>({0, layer.kernel[1] / 2}))
              .bias(false)));
      body->push_back(torch::nn::BatchNorm2d(layer.channels));
      body->push_back(torch::nn::ReLU());
      body->push_back(torch::nn::MaxPool2d(
          torch::nn::MaxPool2dOptions(torch::ExpandingArray<2>({layer.pool[0], layer.pool[1]}))));
      channels = layer.channels;
    }
    body->push_back(torch::nn::AdaptiveAvgPool2d(torch::nn::AdaptiveAvgPool2dOptions({1, 1})));
    body->push_back(torch::nn::Flatten());
    body->push_back(torch::nn::Linear(channels, network.projection));
    tail->push_back(torch::nn::Linear(network.projection, network.hidden));
    tail->push_back(torch::nn::ReLU());
    tail->push_back(torch::nn::Linear(network.hidden, kClasses));
    torch::NoGradGuard no_gradient;
    for (size_t i = 0; i < network.layers.size(); ++i) {
      const auto weight = [&](const char* name) { return state.at(train::layer_weight(i, name)); };
      auto* conv = body[4 * i]->as<torch::nn::Conv2d>();
      auto* norm = body[4 * i + 1]->as<torch::nn::BatchNorm2d>();
      conv->weight.copy_(weight("conv.weight"));
      norm->weight.copy_(weight("norm.weight"));
      norm->bias.copy_(weight("norm.bias"));
      norm->running_mean.copy_(weight("norm.running_mean"));
      norm->running_var.copy_(weight("norm.running_var"));
    }
    const auto linear = [&](torch::nn::LinearImpl* to, const std::string& name) {
      to->weight.copy_(state.at(name + ".weight"));
      to->bias.copy_(state.at(name + ".bias"));
    };
    linear(body[body->size() - 1]->as<torch::nn::Linear>(), "project");
    linear(tail[0]->as<torch::nn::Linear>(), "head.hidden");
    linear(tail[2]->as<torch::nn::Linear>(), "head.output");
  }
  at::Tensor operator()(const at::Tensor& x) { return tail->forward(body->forward(x)); }
};

train::Network without_fsq() {
  train::Network network = small_config().network;
  network.fsq_levels.clear();
  network.projection = 3;
  network.dropout = 0.0;
  return network;
}

TEST(Network, EqualsPyTorchsModules) {
  torch::manual_seed(3);
  const train::Network network = without_fsq();
  State state = initial_state(network, kShape, kClasses).value();
  Modules modules(network, state);
  const at::Tensor x = to_torch(random_tensor({7, 9, 2, 32}, 4));
  // Learning: the answers, and the running statistics they leave behind.
  EXPECT_EQ(distance(forward({network, Mode::kLearn, nullptr}, state, x).logits, modules(x)), 0.0);
  modules.body->eval();
  EXPECT_EQ(distance(forward({network, Mode::kEvaluate, nullptr}, state, x).logits, modules(x)),
            0.0);
}

TEST(Network, TheExportAnswersAsTheLoopDoesForEveryNetworkAndVariant) {
  const char* const variants[] = {"lucidrains-2024", "lucidrains-2023", "paper-2023",
                                  "hard-clamp",      "symmetric",       "ifsq"};
  const char* const names[] = {"cross", "plain", "separable", "cross", "plain", "separable"};
  for (size_t i = 0; i < 6; ++i) {
    torch::manual_seed(5);
    train::Network network = train::named_network(names[i]).value();
    network.fsq_variant = variants[i];
    if (i % 2 == 1) network.pooling = train::Pooling::kMax;
    State state = initial_state(network, {9, 2, 100}, 10).value();
    const Tensor windows = random_tensor({6, 9, 2, 100}, 6);
    // Statistics that are not 0 and 1.
    forward({network, Mode::kLearn, nullptr}, state, to_torch(windows));
    at::NoGradGuard no_gradient;
    const Forward answer = forward({network, Mode::kEvaluate, nullptr}, state, to_torch(windows));
    const ir::Graph graph = train::build_graph(network, {9, 2, 100}, 10, to_weights(state)).value();
    const auto check = train::check_export(graph, windows,
                                           {from_torch(answer.logits), from_torch(answer.bounded)});
    ASSERT_TRUE(check.ok()) << names[i] << " " << variants[i] << ": " << check.error().message();
    EXPECT_LE(check->at_a_threshold, 1);
  }
}

// Google's notebook and six vectors of vector-quantize-pytorch (default variant).
TEST(Fsq, GivesThePublishedDigits) {
  struct Vector {
    std::vector<float> z;
    std::vector<int64_t> digits;
  };
  const auto digits_of = [](const std::vector<int64_t>& levels, const std::vector<float>& z) {
    train::Network network;
    network.layers = {{static_cast<int64_t>(levels.size()), {1, 1}, {1, 1}, {1, 1}, false}};
    network.fsq_levels = levels;
    const auto size = static_cast<int64_t>(levels.size());
    State state = initial_state(network, {size, 1, 1}, 2).value();
    at::NoGradGuard no_gradient;
    // The projection's bias is z, whatever the window.
    state["project.weight"].zero_();
    state["project.bias"] = at::tensor(z);
    const at::Tensor digits =
        forward({network, Mode::kEvaluate, nullptr}, state, at::zeros({1, size, 1, 1})).digits;
    return std::vector<int64_t>(digits.data_ptr<int64_t>(), digits.data_ptr<int64_t>() + size);
  };
  EXPECT_EQ(digits_of({3, 5, 4}, {.25f, .6f, -7.f}), (std::vector<int64_t>{1, 3, 0}));
  const std::vector<Vector> vectors = {{{2.338f, -.663f, .395f, .147f}, {7, 1, 3, 2}},
                                       {{.835f, -1.402f, -.415f, -.751f}, {6, 0, 1, 1}},
                                       {{-1.075f, -.844f, -.512f, -.287f}, {1, 1, 1, 1}},
                                       {{-.907f, .422f, -.548f, -3.198f}, {1, 3, 1, 0}},
                                       {{1.191f, -.392f, -.743f, .268f}, {7, 1, 1, 3}},
                                       {{.23f, .053f, -.854f, .192f}, {5, 2, 1, 2}}};
  for (const Vector& vector : vectors) {
    EXPECT_EQ(digits_of({8, 5, 5, 5}, vector.z), vector.digits);
  }
}

TEST(Fsq, TheGradientPassesAsIfNothingWereRounded) {
  const at::Tensor x = at::tensor({0.3f, -1.7f, 2.5f}).requires_grad_(true);
  const at::Tensor y = straight_through(at::round(x), x);
  EXPECT_EQ(distance(y.detach(), at::tensor({0.0f, -2.0f, 2.0f})), 0.0);
  (y * at::tensor({1.0f, 2.0f, 3.0f})).sum().backward();
  EXPECT_EQ(distance(x.grad(), at::tensor({1.0f, 2.0f, 3.0f})), 0.0);
}

TEST(Fsq, UsageCountsCodesAndLevels) {
  const at::Tensor digits = at::tensor({0, 0, 1, 0, 0, 0, 1, 2}, at::kLong).view({4, 2});
  const train::CodeUsage usage = code_usage(digits, {2, 4});
  EXPECT_EQ(usage.codes, 3);
  EXPECT_DOUBLE_EQ(usage.least_digits, 0.5);  // two of four levels in the second dimension
  EXPECT_NEAR(usage.perplexity, std::exp(0.5 * std::log(2.0) + 0.5 * std::log(4.0)), 1e-9);
}

TEST(Loop, StepsAsTorchsAdamW) {
  train::Config config = small_config();
  config.network = without_fsq();
  config.optimization.epochs = 4;
  config.optimization.batch = 240;
  config.optimization.schedule = train::Schedule::kConstant;
  config.optimization.label_smoothing = 0.1;
  config.optimization.class_weights = true;
  config.augmentation = {0, 0, 0, 0, 0, 0};
  train::TrainingSet set = wave_set();
  // Uneven classes, so that the weights matter.
  for (size_t i = 0; i < 60; ++i) set.train.labels[i] = 0;
  set.validation = {};
  train::Job job;
  job.config = config;
  job.set = &set;
  const auto outcome = run_training(job, {});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message();

  torch::manual_seed(config.optimization.seed);
  const State state = initial_state(config.network, kShape, kClasses).value();
  Modules modules(config.network, state);
  std::vector<at::Tensor> decayed, free;
  for (const auto& part : {modules.body, modules.tail}) {
    for (const at::Tensor& weight : part->parameters()) {
      (weight.dim() > 1 ? decayed : free).push_back(weight);
    }
  }
  const torch::optim::AdamWOptions options(config.optimization.learning_rate);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(decayed, std::make_unique<torch::optim::AdamWOptions>(
                                   torch::optim::AdamWOptions(options).weight_decay(1e-2)));
  groups.emplace_back(free, std::make_unique<torch::optim::AdamWOptions>(
                                torch::optim::AdamWOptions(options).weight_decay(0.0)));
  torch::optim::AdamW optimizer(groups, options);
  auto loss =
      torch::nn::CrossEntropyLoss(torch::nn::CrossEntropyLossOptions()
                                      .weight(at::tensor(class_weights(set.train.labels, kClasses)))
                                      .label_smoothing(0.1));
  const at::Tensor x = to_torch(set.train.windows);
  const at::Tensor labels = at::tensor(set.train.labels, at::kLong);
  for (int64_t epoch = 1; epoch <= 4; ++epoch) {
    optimizer.zero_grad();
    const std::vector<size_t> order = shuffled(240, config.optimization.seed, epoch);
    const std::vector<int64_t> rows(order.begin(), order.end());
    const at::Tensor chosen = at::tensor(rows, at::kLong);
    loss(modules(x.index_select(0, chosen)), labels.index_select(0, chosen)).backward();
    optimizer.step();
  }
  const auto* conv = modules.body[4]->as<torch::nn::Conv2d>();
  const auto* norm = modules.body[5]->as<torch::nn::BatchNorm2d>();
  const State trained = to_state(outcome->weights);
  EXPECT_LT(distance(trained.at("encoder.1.conv.weight"), conv->weight), 1e-5);
  EXPECT_LT(distance(trained.at("encoder.1.norm.bias"), norm->bias), 1e-5);
  EXPECT_LT(distance(trained.at("encoder.1.norm.running_var"), norm->running_var), 1e-5);
  EXPECT_GT(distance(trained.at("encoder.1.conv.weight"), state.at("encoder.1.conv.weight")), 1e-2);
}

TEST(Loop, SchedulesRiseAndFall) {
  train::Optimization run;
  run.schedule = train::Schedule::kOneCycle;
  run.warmup = 0.3;
  EXPECT_LT(schedule_factor(run, 0, 1000), 0.05);
  EXPECT_NEAR(schedule_factor(run, 300, 1000), 1.0, 1e-6);
  EXPECT_LT(schedule_factor(run, 999, 1000), 1e-3);
  run.schedule = train::Schedule::kCosine;
  run.warmup = 0.0;
  EXPECT_EQ(schedule_factor(run, 0, 1000), 1.0);
  EXPECT_NEAR(schedule_factor(run, 500, 1000), 0.5, 1e-9);
  run.schedule = train::Schedule::kConstant;
  EXPECT_EQ(schedule_factor(run, 7, 10), 1.0);
}

TEST(Loop, LearnsWithTheQuantizerOnAndUsesItsCodes) {
  const train::TrainingSet set = wave_set();
  train::Job job;
  job.config = small_config();
  job.config.optimization.averaging = 0.9;
  job.set = &set;
  const auto outcome = run_training(job, {});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message();
  ASSERT_EQ(outcome->epochs.size(), 6u);
  EXPECT_GT(*outcome->epochs.back().validation_accuracy_percent, 95.0);
  EXPECT_LT(outcome->epochs.back().train_loss, outcome->epochs.front().train_loss);
  EXPECT_GE(outcome->epochs.back().usage->codes, 3);
}

TEST(Loop, WeightsThatAreTrainedAlreadyCountInTheAverage) {
  const train::TrainingSet set = wave_set();
  train::Job job;
  job.config = small_config();
  job.config.optimization.epochs = 3;
  job.set = &set;
  job.checkpoint = temporary("first.pt");
  const auto first = run_training(job, {});
  ASSERT_TRUE(first.ok()) << first.error().message();
  // One epoch from there in ten steps of no length: the mean of equal weights is those weights.
  job.initial = job.checkpoint;
  job.checkpoint.clear();
  job.config.optimization.epochs = 1;
  job.config.optimization.averaging = 0.998;
  job.config.optimization.schedule = train::Schedule::kConstant;
  job.config.optimization.learning_rate = 1e-12;
  const auto still = run_training(job, {});
  ASSERT_TRUE(still.ok()) << still.error().message();
  const auto moved = [&](const auto& outcome) {
    return distance(to_torch(outcome->weights.at("project.weight")),
                    to_torch(first->weights.at("project.weight")));
  };
  EXPECT_LT(moved(still), 1e-6);
  // With steps, the mean of all of them lies nearer to the start than the last of them.
  job.config.optimization.learning_rate = 3e-3;
  const auto mean = run_training(job, {});
  job.config.optimization.averaging = 0.0;
  const auto last = run_training(job, {});
  fs::remove(job.initial);
  ASSERT_TRUE(mean.ok() && last.ok());
  EXPECT_GT(moved(mean), 1e-4);
  EXPECT_LT(moved(mean), 0.8 * moved(last));
}

TEST(Loop, AResumedRunIsTheRunThatWasNeverStopped) {
  const train::TrainingSet set = wave_set();
  train::Job job;
  job.config = small_config();
  job.config.optimization.epochs = 4;
  job.config.optimization.patience = 4;
  job.config.optimization.averaging = 0.9;
  job.set = &set;
  job.checkpoint = temporary("whole.pt");
  const std::string half = temporary("half.pt");
  const auto whole = run_training(job, [&](const train::StepReport& report) {
    if (report.finished != nullptr && report.epoch == 2) fs::copy_file(job.checkpoint, half);
  });
  ASSERT_TRUE(whole.ok()) << whole.error().message();
  fs::remove(job.checkpoint);
  job.checkpoint = half;
  job.resume = true;
  int64_t steps = 0;
  const auto resumed = run_training(
      job, [&](const train::StepReport& report) { steps += report.finished == nullptr ? 1 : 0; });
  ASSERT_TRUE(resumed.ok()) << resumed.error().message();
  EXPECT_EQ(steps, 2 * 10);  // two epochs, not four
  EXPECT_EQ(resumed->weights, whole->weights);
  EXPECT_EQ(train::format_log(resumed->epochs), train::format_log(whole->epochs));

  job.config.optimization.seed = 2;
  const auto other = run_training(job, {});
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message(), HasSubstr("of a run with another configuration"));
  ASSERT_TRUE(write_file_atomic(half, "PK no checkpoint").ok());
  const auto damaged = run_training(job, {});
  fs::remove(half);
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
}

TEST(Loop, StopsEarlyAndKeepsTheBestWeights) {
  train::TrainingSet set = wave_set();
  // Labels of validation that cannot be learnt: its loss rises as training gets sure.
  for (size_t i = 0; i < set.validation.labels.size(); ++i) {
    set.validation.labels[i] = (set.validation.labels[i] + 1) % kClasses;
  }
  train::Job job;
  job.config = small_config();
  job.config.optimization.epochs = 40;
  job.config.optimization.patience = 2;
  job.set = &set;
  const auto outcome = run_training(job, {});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message();
  EXPECT_TRUE(outcome->stopped_early);
  ASSERT_LT(outcome->epochs.size(), 20u);
  EXPECT_TRUE(outcome->epochs[outcome->epochs.size() - 3].best);
  EXPECT_FALSE(outcome->epochs.back().best);
}

TEST(Loop, AStudentLearnsFromItsTeacherAlone) {
  const train::TrainingSet set = wave_set();
  train::Job teacher;
  teacher.config = small_config();
  teacher.set = &set;
  teacher.checkpoint = temporary("teacher.pt");
  fs::remove(teacher.checkpoint);
  ASSERT_TRUE(run_training(teacher, {}).ok());
  // The student sees labels that are all the same, and listens to the teacher only.
  train::TrainingSet silent = set;
  silent.train.labels.assign(silent.train.labels.size(), 0);
  train::Job student = teacher;
  student.set = &silent;
  student.checkpoint.clear();
  student.teacher = teacher.checkpoint;
  student.config.distillation = {1.0, 2.0};
  student.config.optimization.epochs = 20;
  student.config.network.layers[0].channels = 10;  // another network than the teacher
  const auto taught = run_training(student, {});
  fs::remove(teacher.checkpoint);
  ASSERT_TRUE(taught.ok()) << taught.error().message();
  EXPECT_GT(*taught->epochs.back().validation_accuracy_percent, 90.0);  // the labels teach 33 %
}

// ---- refinement with integers ----

struct Refinable {
  train::TrainingSet set = wave_set();
  train::Job job;
  train::Outcome trained;
  ir::Graph device;
  quantize::Quantized quantized;
  train::IntegerForms forms;
};

// Trains, exports, simplifies, cuts and quantizes as the pipeline does.
// `wide_ends`: 16 bits in front of the tanh, as is usual, or 8 everywhere.
void prepare_refinement(Refinable& r, const std::string& checkpoint, bool wide_ends) {
  r.job.config = small_config();
  r.job.set = &r.set;
  r.job.checkpoint = checkpoint;
  auto trained = run_training(r.job, {});
  ASSERT_TRUE(trained.ok()) << trained.error().message();
  r.trained = std::move(trained).value();
  const ir::Graph graph =
      train::build_graph(r.job.config.network, kShape, kClasses, r.trained.weights).value();
  const simplify::Simplified simplified = simplify::simplify(graph).value();
  std::vector<bool> supported;
  for (const ir::Node& node : simplified.graph.nodes) {
    supported.push_back(ir::op_type(node.op) != "Round");
  }
  r.device = cut::cut(simplified.graph, supported, {}).value().device;
  // The float network as it is: what refinement imitates.
  quantize::QuantizeOptions options;
  options.level = 0;
  options.equalization = false;
  options.wide_ends = wide_ends;
  auto quantized = quantize::quantize(r.device, r.set.train.windows, options);
  ASSERT_TRUE(quantized.ok()) << quantized.error().message();
  r.quantized = std::move(quantized).value();
  std::string points;
  for (const quantize::Point& point : r.quantized.points) {
    points +=
        fmt::format(R"({}{{"tensor": "{}", "dtype": "{}", "scale": {:.9g}, "zero_point": {}}})",
                    points.empty() ? "" : ", ", point.value, to_string(point.dtype), point.scale,
                    point.zero_point);
  }
  auto forms = train::parse_integer_forms("{\"points\": [" + points + "]}", "points");
  ASSERT_TRUE(forms.ok()) << forms.error().message();
  r.forms = std::move(forms).value();
}

class Ends : public testing::TestWithParam<bool> {};

TEST_P(Ends, RoundAsInTheQuantizersGraph) {
  Refinable r;
  const std::string checkpoint = temporary("round.pt");
  prepare_refinement(r, checkpoint, GetParam());
  fs::remove(checkpoint);
  if (HasFatalFailure()) return;
  EXPECT_EQ(r.forms.tensors.at("/fsq/Add_output_0").lowest, GetParam() ? -32768 : -128);
  at::NoGradGuard no_gradient;
  State state = to_state(r.trained.weights);
  const Tensor& windows = r.set.validation.windows;
  const Forward refined =
      forward({r.job.config.network, Mode::kEvaluateRefined, &r.forms}, state, to_torch(windows));
  const Forward plain =
      forward({r.job.config.network, Mode::kEvaluate, nullptr}, state, to_torch(windows));
  const at::Tensor integer = to_torch(ir::evaluate_windows(r.quantized.graph, windows).value()[0]);
  // One step of the output's scale where a sum lies at a border; equal nearly everywhere.
  const double step = r.forms.tensors.at("/fsq/Sub_output_0").scale;
  const at::Tensor gap = (refined.bounded - integer).abs();
  EXPECT_LT(gap.max().item<double>(), 2.01 * step);
  EXPECT_GT(gap.lt(1e-5).to(at::kFloat).mean().item<double>(), 0.97);
  // And the float network is further away, so the agreement is not for want of rounding.
  EXPECT_LT((plain.bounded - integer).abs().lt(1e-5).to(at::kFloat).mean().item<double>(), 0.2);
}

INSTANTIATE_TEST_SUITE_P(Refinement, Ends, testing::Bool(), [](const auto& wide) {
  return std::string(wide.param ? "in16Bits" : "in8Bits");
});

TEST(Refinement, WeightsTakeTheGridThatIsGiven) {
  torch::manual_seed(8);
  train::Network network;
  network.layers = {{3, {1, 1}, {1, 1}, {1, 1}, false}};
  network.fsq_levels.clear();
  network.projection = 2;
  network.hidden = 0;
  State state = initial_state(network, {3, 1, 1}, 2).value();
  at::NoGradGuard no_gradient;
  const at::Tensor x = at::tensor({0.5f, 1.5f, 2.0f}).view({1, 3, 1, 1});
  train::IntegerForms forms;
  forms.layers["/encoder.0/conv/Conv"] = {16, {1e-4}};  // fine enough to change little
  forms.layers["/project/Gemm"] = {3, {0.125, 0.25}};   // codes -3 to 3
  State rounded = state;
  const at::Tensor step = at::tensor({0.125f, 0.25f}).view({2, 1});
  rounded["project.weight"] = at::round(state["project.weight"] / step).clamp(-3, 3).mul(step);
  EXPECT_GT(distance(rounded["project.weight"], state["project.weight"]), 0.01);
  const at::Tensor expected = forward({network, Mode::kEvaluate, nullptr}, rounded, x).logits;
  const at::Tensor found = forward({network, Mode::kEvaluateRefined, &forms}, state, x).logits;
  EXPECT_LT(distance(expected, found), 1e-3);
}

TEST(Refinement, LearnsWithRoundedNumbersFromTrainedWeights) {
  Refinable r;
  const std::string checkpoint = temporary("learn.pt");
  prepare_refinement(r, checkpoint, false);
  if (HasFatalFailure()) return;
  // Steps so coarse that rounding does harm.
  for (auto& [name, form] : r.forms.tensors) {
    form.scale *= 12.0;
    form.lowest = form.lowest == 0 ? 0 : -11;
    form.highest = form.lowest == 0 ? 21 : 10;
  }
  train::Job job = r.job;
  job.checkpoint.clear();
  job.initial = checkpoint;
  job.forms = r.forms;
  job.config.optimization.learning_rate = 2e-3;
  job.config.optimization.epochs = 5;
  const auto refined = run_training(job, {});
  fs::remove(checkpoint);
  ASSERT_TRUE(refined.ok()) << refined.error().message();
  const auto loss_of = [&](const train::Weights& weights) {
    at::NoGradGuard no_gradient;
    State state = to_state(weights);
    const Forward answer = forward({job.config.network, Mode::kEvaluateRefined, &r.forms}, state,
                                   to_torch(r.set.validation.windows));
    return at::cross_entropy_loss(answer.logits, at::tensor(r.set.validation.labels, at::kLong))
        .item<double>();
  };
  EXPECT_LT(loss_of(refined->weights), loss_of(r.trained.weights));
  // BatchNorm's statistics are folded and stay.
  EXPECT_EQ(refined->weights.at("encoder.0.norm.running_mean"),
            r.trained.weights.at("encoder.0.norm.running_mean"));
  job.initial.clear();
  EXPECT_FALSE(run_training(job, {}).ok());
}

}  // namespace
}  // namespace graupel::libtorch
