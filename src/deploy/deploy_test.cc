// All stages on real networks: the shipped models and small ones of other shapes, what a bundle
// must detect about itself, and windows nobody should calibrate on.
#include "deploy/deploy.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "data/npy.h"
#include "data/synth.h"
#include "deploy/json.h"
#include "run/answers.h"
#include "run/engine.h"

namespace graupel::deploy {
namespace {

namespace fs = std::filesystem;
const std::string kModels = std::string(GRAUPEL_SOURCE_DIR) + "/models/";

// A folder of this test's own, gone when it ends.
class Deploy : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) /
              (std::string("graupel_deploy_") + info->name() + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  void write_behaviours(const std::string& name, int64_t windows, int64_t first_subject) const {
    data::SynthOptions options;
    options.windows = windows;
    options.subjects = 10;
    options.first_subject = first_subject;
    const Result<data::SynthSet> set = data::synth_windows(options);
    ASSERT_TRUE(set.ok());
    ASSERT_TRUE(data::write_npy(path(name + ".npy"), set->windows).ok());
    ASSERT_TRUE(data::write_npy(path(name + "_labels.npy"), set->labels).ok());
  }

  DeployOptions imu_options(const std::string& model = "fsq_imu_synthetic.onnx") const {
    DeployOptions options;
    options.model = kModels + model;
    options.calibration = {path("calib.npy"), "", kModels + "fsq_imu_synthetic.normalization.json"};
    options.validation = {path("val.npy"), path("val_labels.npy"), ""};
    options.validate.profile = {.warmup_runs = 2, .runs = 20, .seconds_limit = 1.0};
    return options;
  }

  void write_imu_windows() const {
    write_behaviours("calib", 128, 200);
    write_behaviours("val", 200, 300);
  }

  std::string write_model(const std::string& name, const std::string& text) const {
    const Result<ir::Graph> graph = ir::parse(text);
    EXPECT_TRUE(graph.ok()) << graph.error().message();
    if (!graph.ok()) return "";
    const Result<void> written = onnx::write_model(path(name), *graph);
    EXPECT_TRUE(written.ok()) << written.error().message();
    return path(name);
  }

  std::string write_noise(const std::string& name, const Shape& shape, int64_t count) const {
    const Result<Tensor> noise = data::synth_noise(shape, count, 3);
    EXPECT_TRUE(noise.ok() && data::write_npy(path(name), *noise).ok());
    return path(name);
  }

 private:
  fs::path folder_;
};

std::string values(int64_t count, int seed) {
  std::string text = "[";
  uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 1u;
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const double value = (static_cast<double>(state >> 8) / (1 << 24) - 0.5) * 0.8;
    text += (i > 0 ? ", " : "") + std::to_string(value);
  }
  return text + "]";
}

// Convolution, batch normalisation, ReLU, pool, fully connected; `end` follows the logits.
std::string plain_cnn(const std::string& end) {
  return R"(graph plain opset 17 ir 8 {
    input image: float32[1x3x8x8]
    const w: float32[8x3x3x3] = )" +
         values(216, 1) + R"(
    const b: float32[8] = )" +
         values(8, 2) + R"(
    const gamma: float32[8] = [1, 1.5, 0.5, 1, 2, 1, 1, 1]
    const mean: float32[8] = )" +
         values(8, 3) + R"(
    const variance: float32[8] = [1, 2, 1, 0.5, 1, 1, 1, 1]
    const fc: float32[5x128] = )" +
         values(640, 4) + R"(
    const fcb: float32[5] = )" +
         values(5, 5) + R"(
    conv: Conv{pads=[1, 1, 1, 1]}(image, w, b) -> c
    norm: BatchNormalization(c, gamma, b, mean, variance) -> n
    relu: Relu(n) -> r
    pool: MaxPool{kernel_shape=[2, 2], strides=[2, 2]}(r) -> p
    flat: Flatten(p) -> f
    head: Gemm{transB=1}(f, fc, fcb) -> logits
)" + end +
         "}";
}

std::string outcomes(const Validated& validated) {
  std::string text;
  for (const validate::Judgement& judgement : validated.judgements) {
    text += judgement.bar.id + " " + std::string(to_string(validate::outcome(judgement))) + " " +
            validate::value_text(judgement) + " " + judgement.detail + "\n";
  }
  return text;
}

const validate::Judgement* find(const Validated& validated, const std::string& id) {
  for (const validate::Judgement& judgement : validated.judgements) {
    if (judgement.bar.id == id) return &judgement;
  }
  return nullptr;
}

TEST_F(Deploy, TheExampleMeetsEveryBarAndGivesTheSameBytesTwice) {
  write_imu_windows();
  DeployOptions options = imu_options();
  options.output = path("a.graupel");
  options.report = path("report.html");
  const Result<Deployed> first = deploy(options);
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->validated.judgements.size(), 20u) << outcomes(first->validated);
  for (const validate::Judgement& judgement : first->validated.judgements) {
    // Timing on a loaded machine is not what this test is about.
    if (judgement.bar.id.find("latency") != std::string::npos) continue;
    EXPECT_EQ(validate::outcome(judgement), validate::Outcome::kPass)
        << judgement.bar.id << " " << validate::value_text(judgement);
  }
  options.output = path("b.graupel");
  const Result<Deployed> second = deploy(options);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*read_file(path("a.graupel")), *read_file(path("b.graupel")));
  const Result<std::string> report = read_file(path("report.html"));
  ASSERT_TRUE(report.ok());
  EXPECT_NE(report->find("All 20 measured bars are met."), std::string::npos);
}

TEST_F(Deploy, TheOtherTwoModelsToo) {
  write_imu_windows();
  for (const std::string model : {"fsq_imu_8x8.onnx", "fsq_imu_linear_head.onnx"}) {
    const Result<Deployed> deployed = deploy(imu_options(model));
    ASSERT_TRUE(deployed.ok()) << deployed.error().message();
    ASSERT_TRUE(deployed->parsed.cut.fsq) << model;
    for (const char* exact :
         {"simplified_difference", "recombined_mismatches", "plan_mismatches"}) {
      const validate::Judgement* judgement = find(deployed->validated, exact);
      ASSERT_NE(judgement, nullptr);
      EXPECT_EQ(validate::outcome(*judgement), validate::Outcome::kPass) << model << " " << exact;
    }
    EXPECT_NE(find(deployed->validated, "code_flips"), nullptr);
  }
}

TEST_F(Deploy, APlainNetworkOnDeviceAndHost) {
  const std::string model = write_model(
      "plain.onnx", plain_cnn("    soft: Softmax{axis=1}(logits) -> y\n    output y\n"));
  for (const std::string target : {"hailo8", "cpu"}) {
    DeployOptions options;
    options.model = model;
    options.parse.target = target;
    options.calibration.windows = write_noise("noise.npy", {3, 8, 8}, 128);
    options.validate.profile = {.warmup_runs = 1, .runs = 5, .seconds_limit = 1.0};
    const Result<Deployed> deployed = deploy(options);
    ASSERT_TRUE(deployed.ok()) << target << ": " << deployed.error().message();
    EXPECT_FALSE(deployed->parsed.cut.fsq);
    EXPECT_EQ(find(deployed->validated, "code_flips"), nullptr);
    for (const char* exact :
         {"simplified_difference", "recombined_mismatches", "plan_mismatches"}) {
      EXPECT_EQ(validate::outcome(*find(deployed->validated, exact)), validate::Outcome::kPass)
          << target << "\n"
          << outcomes(deployed->validated);
    }
  }
}

TEST_F(Deploy, EverythingOnTheDeviceAndAResidualConnection) {
  const std::string text = R"(graph residual opset 17 ir 8 {
    input image: float32[1x4x6x6]
    const w: float32[4x4x3x3] = )" +
                           values(144, 6) + R"(
    const v: float32[4x4x3x3] = )" +
                           values(144, 7) + R"(
    a: Conv{pads=[1, 1, 1, 1]}(image, w) -> a
    r: Relu(a) -> r
    b: Conv{pads=[1, 1, 1, 1]}(r, v) -> b
    skip: Add(b, r) -> s
    last: Relu(s) -> y
    output y })";
  DeployOptions options;
  options.model = write_model("residual.onnx", text);
  options.calibration.windows = write_noise("noise.npy", {4, 6, 6}, 128);
  options.validate.profile = {.warmup_runs = 1, .runs = 5, .seconds_limit = 1.0};
  const Result<Deployed> deployed = deploy(options);
  ASSERT_TRUE(deployed.ok()) << deployed.error().message();
  // The output is a map: there is no class to agree on.
  ASSERT_NE(find(deployed->validated, "argmax_agreement"), nullptr);
  EXPECT_FALSE(find(deployed->validated, "argmax_agreement")->value.has_value());
  EXPECT_TRUE(ir::live_nodes(deployed->parsed.cut.host).empty());
  for (const char* exact : {"simplified_difference", "recombined_mismatches", "plan_mismatches"}) {
    EXPECT_EQ(validate::outcome(*find(deployed->validated, exact)), validate::Outcome::kPass)
        << outcomes(deployed->validated);
  }
}

TEST_F(Deploy, SeveralOutputsAreAnsweredByName) {
  DeployOptions options;
  options.model = write_model(
      "two.onnx",
      plain_cnn("    t: Sigmoid(logits) -> score\n    output logits\n    output score\n"));
  options.calibration.windows = write_noise("noise.npy", {3, 8, 8}, 128);
  options.validate.profile = {.warmup_runs = 1, .runs = 5, .seconds_limit = 1.0};
  const Result<Deployed> deployed = deploy(options);
  ASSERT_TRUE(deployed.ok()) << deployed.error().message();
  const Result<run::Engine> engine = run::load_engine(deployed->plan);
  ASSERT_TRUE(engine.ok());
  const Result<std::vector<Tensor>> outputs =
      run::run_windows(*engine, first_windows(deployed->calibration.raw, 3));
  ASSERT_TRUE(outputs.ok());
  const Result<std::string> text =
      run::format_any(deployed->plan, *outputs, {}, "cpu/scalar", run::OutputFormat::kJson);
  ASSERT_TRUE(text.ok()) << text.error().message();
  const Json json = Json::parse(*text, nullptr, false);
  ASSERT_TRUE(json.is_array() && json.size() == 3u) << *text;
  EXPECT_EQ(json[2]["outputs"]["logits"].size(), 5u);
  EXPECT_EQ(json[2]["outputs"]["score"].size(), 5u);
  EXPECT_FALSE(json[2].contains("class"));
  const Result<std::string> csv =
      run::format_any(deployed->plan, *outputs, {}, "cpu/scalar", run::OutputFormat::kCsv);
  ASSERT_TRUE(csv.ok());
  EXPECT_EQ(std::count(csv->begin(), csv->end(), '\n'), 4);
  EXPECT_NE(csv->find("logits_4"), std::string::npos);
}

TEST_F(Deploy, WorkInFrontOfTheDeviceStaysOnTheHost) {
  DeployOptions options;
  options.model = write_model("plain.onnx", plain_cnn("    output logits\n"));
  options.parse.cut.start_nodes = {"pool"};
  options.calibration.windows = write_noise("noise.npy", {3, 8, 8}, 128);
  options.validate.profile = {.warmup_runs = 1, .runs = 5, .seconds_limit = 1.0};
  const Result<Deployed> deployed = deploy(options);
  ASSERT_TRUE(deployed.ok()) << deployed.error().message();
  ASSERT_TRUE(deployed->bundle.members.contains("before.onnx"));
  for (const char* exact : {"simplified_difference", "recombined_mismatches", "plan_mismatches"}) {
    EXPECT_EQ(validate::outcome(*find(deployed->validated, exact)), validate::Outcome::kPass)
        << outcomes(deployed->validated);
  }
  // The halves answer as the network does, window by window.
  const Result<Halves> halves = float_halves(deployed->bundle);
  ASSERT_TRUE(halves.ok());
  const Tensor windows = first_windows(deployed->calibration.raw, 4);
  const Result<std::map<std::string, Tensor>> found = evaluate_halves(*halves, windows);
  ASSERT_TRUE(found.ok()) << found.error().message();
  const Result<std::vector<Tensor>> whole =
      ir::evaluate_windows(deployed->parsed.simplified.graph, windows);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(found->at("logits"), (*whole)[0]);
  Halves headless = *halves;
  headless.device = {};
  const Result<std::map<std::string, Tensor>> broken = evaluate_halves(headless, windows);
  ASSERT_FALSE(broken.ok()) << "the host part's input is made by nobody";
  EXPECT_EQ(broken.error().code, ErrorCode::kInvalidInput);
}

TEST_F(Deploy, ASwappedPlanOrGraphIsFound) {
  write_imu_windows();
  const Result<Deployed> right = deploy(imu_options());
  DeployOptions changed = imu_options();
  changed.quantize.calibrator = quantize::Calibrator::kMinMax;
  const Result<Deployed> other = deploy(changed);
  ASSERT_TRUE(right.ok() && other.ok());
  const Result<Windows> windows = load_windows(imu_options().validation, right->parsed.original);
  ASSERT_TRUE(windows.ok());
  const Result<Windows> normalized =
      normalized_windows(windows->raw, windows->labels, right->calibration.normalization);
  ASSERT_TRUE(normalized.ok());
  for (const std::string member : {"cpu.plan", "device_int8.onnx"}) {
    bundle::Bundle mixed = right->bundle;
    mixed.members[member] = other->bundle.members.at(member);
    ASSERT_NE(mixed.members[member], right->bundle.members.at(member));
    const Result<Validated> validated =
        validate(mixed, right->parsed.original, *normalized, imu_options().validate);
    ASSERT_TRUE(validated.ok()) << validated.error().message();
    EXPECT_EQ(validate::outcome(*find(*validated, "plan_mismatches")), validate::Outcome::kFail)
        << member;
    EXPECT_FALSE(validated->passed());
  }
  // A member that is damaged is an error that names it.
  for (const std::string member : {"cpu.plan", "device_int8.onnx", "host.onnx"}) {
    bundle::Bundle damaged = right->bundle;
    std::string& bytes = damaged.members[member];
    bytes.resize(bytes.size() / 2);
    const Result<Validated> validated =
        validate(damaged, right->parsed.original, *normalized, imu_options().validate);
    ASSERT_FALSE(validated.ok()) << member;
    damaged.members.erase(member);
    const Result<Validated> missing =
        validate(damaged, right->parsed.original, *normalized, imu_options().validate);
    ASSERT_FALSE(missing.ok());
    EXPECT_NE(missing.error().message().find(member), std::string::npos);
  }
}

TEST_F(Deploy, NormalizationFromAFileFittedOrNone) {
  write_imu_windows();
  DeployOptions options = imu_options();
  options.calibration.normalization = "fit";
  const Result<Deployed> fitted = deploy(options);
  ASSERT_TRUE(fitted.ok()) << fitted.error().message();
  ASSERT_TRUE(fitted->bundle.members.contains("normalization"));
  const Result<std::optional<data::Normalization>> stored = bundle_normalization(fitted->bundle);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(**stored, *fitted->calibration.normalization);
  EXPECT_EQ(validate::outcome(*find(fitted->validated, "plan_mismatches")),
            validate::Outcome::kPass);

  options.calibration.normalization = "";  // raw windows for a network that wants z-scores
  const Result<Deployed> none = deploy(options);
  if (none.ok()) {
    EXPECT_FALSE(none->bundle.members.contains("normalization"));
    EXPECT_FALSE(none->optimized.calibration.empty()) << "someone should have been warned";
  } else {
    EXPECT_NE(none.error().message().find("calibration windows"), std::string::npos);
  }
}

TEST_F(Deploy, WindowsAreNormalisedAsTheBundleSaysUnlessAskedOtherwise) {
  write_imu_windows();
  const Result<Deployed> deployed = deploy(imu_options());
  ASSERT_TRUE(deployed.ok()) << deployed.error().message();
  const ir::Graph& graph = deployed->parsed.original;
  const auto own = bundle_normalization(deployed->bundle);
  ASSERT_TRUE(own.ok() && own->has_value());
  WindowOptions again{path("calib.npy"), "", ""};
  const Result<Windows> by_bundle = load_calibration(again, deployed->bundle);
  ASSERT_TRUE(by_bundle.ok());
  EXPECT_EQ(by_bundle->model, deployed->calibration.model);
  bundle::Bundle bundle = deployed->bundle;
  ASSERT_TRUE(optimize(bundle, *by_bundle, {}, nullptr).ok());
  EXPECT_TRUE(bundle.members.contains("normalization"));
  again.normalization = "none";
  const Result<Windows> raw = load_windows(again, graph, *own);
  ASSERT_TRUE(raw.ok());
  EXPECT_EQ(raw->model, raw->raw);
  EXPECT_FALSE(raw->normalization.has_value());
  Windows labelled = *by_bundle;
  labelled.labels = Tensor::of<int64_t>({labelled.raw.shape()[0]},
                                        std::vector<int64_t>(labelled.raw.shape()[0], 10));
  const Result<Optimized> refused = optimize(bundle, labelled, {}, nullptr);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message().find("has the label 10"), std::string::npos);
  EXPECT_FALSE(load_calibration({"random", path("val_labels.npy"), ""}, bundle).ok());
  again = {"random", "", ""};
  const Result<Windows> random = load_windows(again, graph, *own);
  ASSERT_TRUE(random.ok());
  EXPECT_TRUE(random->normalization.has_value());
  EXPECT_NE(random->model, random->raw);
}

TEST_F(Deploy, RandomCalibrationKeepsTheNormalization) {
  write_imu_windows();
  DeployOptions options = imu_options();
  options.calibration.windows = "random";
  const Result<Deployed> deployed = deploy(options);
  ASSERT_TRUE(deployed.ok()) << deployed.error().message();
  EXPECT_TRUE(deployed->calibration.random);
  EXPECT_TRUE(deployed->bundle.members.contains("normalization"));
  EXPECT_EQ(deployed->bundle.manifest.provenance["optimize"]["random"], true);
  const validate::Judgement* doubts = find(deployed->validated, "calibration_doubts");
  ASSERT_NE(doubts, nullptr);
  EXPECT_EQ(validate::outcome(*doubts), validate::Outcome::kFail);
  EXPECT_NE(doubts->detail.find("random-windows"), std::string::npos) << doubts->detail;
  const Result<std::vector<data::ChannelStatistics>> channels =
      data::channel_statistics(deployed->calibration.model);
  ASSERT_TRUE(channels.ok());
  for (const data::ChannelStatistics& channel : *channels) {
    EXPECT_NEAR(channel.mean, 0.0, 0.05) << "the model sees plain noise";
    EXPECT_NEAR(channel.std, 1.0, 0.05);
  }
  options.calibration.normalization = "fit";
  EXPECT_FALSE(deploy(options).ok());
  options = imu_options();
  options.calibration.windows = "random";
  options.calibration.labels = path("val_labels.npy");
  EXPECT_FALSE(deploy(options).ok());
}

TEST_F(Deploy, UnfitWindowsAreRefused) {
  write_imu_windows();
  const auto refused = [&](const std::string& file, const std::string& part) {
    DeployOptions options = imu_options();
    options.calibration.windows = file;
    options.output = path("never.graupel");
    const Result<Deployed> deployed = deploy(options);
    ASSERT_FALSE(deployed.ok()) << part;
    EXPECT_NE(deployed.error().message().find(part), std::string::npos)
        << deployed.error().message();
    EXPECT_FALSE(fs::exists(path("never.graupel")));
  };
  refused(write_noise("shape.npy", {9, 2, 50}, 128), "shape.npy");
  refused(write_noise("few.npy", {9, 2, 100}, 3), "calibration windows");
  Result<Tensor> noise = data::synth_noise({9, 2, 100}, 128, 1);
  ASSERT_TRUE(noise.ok());
  noise->mutable_data<float>()[12345] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(data::write_npy(path("nan.npy"), *noise).ok());
  refused(path("nan.npy"), "NaN");
  refused(path("missing.npy"), "missing.npy");
  DeployOptions options = imu_options();
  options.validation.labels = path("val.npy");
  EXPECT_FALSE(deploy(options).ok()) << "windows are not labels";
  options = imu_options();
  options.validate.bars = {"accuracy=100.5"};
  const Result<Deployed> missed = deploy(options);
  ASSERT_TRUE(missed.ok()) << "a missed bar is a verdict, not an error";
  EXPECT_FALSE(missed->validated.passed());
}

TEST_F(Deploy, AChangedBundleFileFailsReadBack) {
  bundle::Bundle bundle;
  bundle.members["labels"] = "a\nb\n";
  ASSERT_TRUE(bundle::write_bundle(path("x.graupel"), bundle).ok());
  const validate::Bar bar = {"read_back_mismatches", "", "", validate::Comparison::kAtMost, 0};
  EXPECT_EQ(validate::outcome(judge_read_back(path("x.graupel"), bundle, bar)),
            validate::Outcome::kPass);
  bundle.members["labels"] = "a\nc\n";
  EXPECT_EQ(validate::outcome(judge_read_back(path("x.graupel"), bundle, bar)),
            validate::Outcome::kFail);
  std::string bytes = *read_file(path("x.graupel"));
  bytes[bytes.find("a\nb\n")] = 'x';
  ASSERT_TRUE(write_file_atomic(path("x.graupel"), bytes).ok());
  EXPECT_EQ(validate::outcome(judge_read_back(path("x.graupel"), bundle, bar)),
            validate::Outcome::kFail);
}

TEST_F(Deploy, ProfileIsJudged) {
  const Result<Parsed> parsed = parse(kModels + "fsq_imu_synthetic.onnx", ParseOptions());
  ASSERT_TRUE(parsed.ok());
  Result<bundle::Bundle> bundle = to_bundle(*parsed);
  ASSERT_TRUE(bundle.ok());
  const Result<Windows> windows = load_windows({"random", "", ""}, parsed->original);
  ASSERT_TRUE(windows.ok());
  const run::ProfileOptions few = {.warmup_runs = 1, .runs = 5, .seconds_limit = 1.0};
  const std::vector<validate::Bar> bars = validate::default_bars();
  const Result<Profiled> early = profile(*bundle, windows->raw, bars, few);
  ASSERT_FALSE(early.ok());
  EXPECT_NE(early.error().message().find("cpu.plan"), std::string::npos);
  ASSERT_TRUE(optimize(*bundle, *windows, quantize::QuantizeOptions(), &parsed->original).ok());
  ASSERT_TRUE(compile(*bundle).ok());
  const Result<Profiled> profiled = profile(*bundle, windows->raw, bars, few);
  ASSERT_TRUE(profiled.ok()) << profiled.error().message();
  ASSERT_EQ(profiled->judgements.size(), 5u);
  EXPECT_GT(profiled->whole.macs, 100000);
  EXPECT_LE(profiled->device.steps.size(), profiled->whole.steps.size());
}

TEST_F(Deploy, CheckNamesNodesThatHaveNone) {
  const Result<std::string> bytes = read_file(kModels + "fsq_imu_synthetic.onnx");
  const Result<ir::Graph> graph = onnx::read_model(kModels + "fsq_imu_synthetic.onnx");
  ASSERT_TRUE(bytes.ok() && graph.ok());
  const Result<Loaded> named = load(kModels + "fsq_imu_synthetic.onnx", onnx::ReadOptions());
  ASSERT_TRUE(named.ok());
  EXPECT_TRUE(named->facts.unnamed_nodes.empty());
  // The standard's own node tests name no node.
  const Result<Loaded> nameless =
      load("/usr/share/libonnx-testdata/data/node/test_relu/model.onnx", onnx::ReadOptions());
  ASSERT_TRUE(nameless.ok()) << nameless.error().message();
  EXPECT_EQ(nameless->facts.unnamed_nodes.size(), 1u);
}

}  // namespace
}  // namespace graupel::deploy
