// Stage 8 on the example network: the block that comes out, its bars, and what it refuses.
#include "deploy/calibrate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/npy.h"
#include "data/synth.h"
#include "decide/fsq.h"
#include "deploy/deploy.h"
#include "run/answers.h"
#include "run/load.h"

namespace graupel::deploy {
namespace {

const std::string kModels = std::string(GRAUPEL_SOURCE_DIR) + "/models/";

// The example, deployed once on generated windows, and labelled windows of twelve other people.
struct Example {
  std::string folder;
  bundle::Bundle bundle;
  Labelled data;
};

data::SynthSet people(int64_t windows, int64_t subjects, int64_t first, uint64_t seed) {
  data::SynthOptions options;
  options.windows = windows;
  options.subjects = subjects;
  options.first_subject = first;
  options.seed = seed;
  return data::synth_windows(options).value();
}

const Example& example() {
  static const Example made = [] {
    Example e;
    e.folder = ::testing::TempDir() + "calibrate_test";
    std::filesystem::create_directories(e.folder);
    const std::string calib = e.folder + "/calib.npy", bundle = e.folder + "/fsq.graupel";
    EXPECT_TRUE(data::write_npy(calib, people(100, 5, 200, 11).windows).ok());
    DeployOptions options;
    options.model = kModels + "fsq_imu_synthetic.onnx";
    options.calibration = {calib, "", kModels + "fsq_imu_synthetic.normalization.json"};
    options.output = bundle;
    options.report = e.folder + "/report.html";
    options.validate.profile = {.warmup_runs = 1, .runs = 5, .seconds_limit = 0.1};
    const Result<Deployed> deployed = deploy(options);
    EXPECT_TRUE(deployed.ok()) << (deployed.ok() ? "" : deployed.error().message());
    e.bundle = bundle::read_bundle(bundle).value();
    const data::SynthSet set = people(480, 12, 300, 12);
    EXPECT_TRUE(data::write_npy(e.folder + "/windows.npy", set.windows).ok());
    EXPECT_TRUE(data::write_npy(e.folder + "/labels.npy", set.labels).ok());
    EXPECT_TRUE(data::write_npy(e.folder + "/people.npy", set.subjects).ok());
    e.data = load_labelled(e.bundle, {e.folder + "/windows.npy", e.folder + "/labels.npy",
                                      e.folder + "/people.npy"})
                 .value();
    return e;
  }();
  return made;
}

Calibrated calibrated(bundle::Bundle& bundle, const CalibrateOptions& options = {}) {
  Result<Calibrated> result =
      calibrate(bundle, example().data.windows, example().data.groups, options);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message());
  return *std::move(result);
}

// The bundle of the defaults and what it was judged by, made once.
struct Default {
  bundle::Bundle bundle = example().bundle;
  Calibrated result = calibrated(bundle);
};
const Default& by_default() {
  static const Default made;
  return made;
}

TEST(Calibrate, FitsOnSomePeopleAndJudgesOnOthers) {
  const bundle::Bundle& bundle = by_default().bundle;
  const Calibrated& result = by_default().result;
  EXPECT_EQ(bundle.manifest.stage, bundle::Stage::kCalibrated);
  const decide::Block block =
      decide::parse_block(bundle.members.at(std::string(decide::kBlockMember))).value();
  EXPECT_EQ(block, result.block);
  EXPECT_EQ(block.classes, 10);
  EXPECT_EQ(block.provenance.fit_groups.size() + block.provenance.conformal_groups.size() +
                block.provenance.judge_groups.size(),
            12u);
  EXPECT_LT(result.after.nll, result.before.nll);
  EXPECT_EQ(result.judgements.size() + 1, calibrate_bars().size());  // no HSMM was asked for
  EXPECT_DOUBLE_EQ(result.scaled_accuracy, result.int8_accuracy);  // a temperature keeps the order
  ASSERT_TRUE(block.fsq && block.fsq->int8);
  EXPECT_EQ(block.fsq->levels, (std::vector<int64_t>{8, 6, 5, 5, 4}));
  EXPECT_EQ(result.codes->int8_values_proven + result.codes->int8_values_beyond, 5 * 256);
  EXPECT_EQ(result.codes->int8_differing, 0);
}

TEST(Calibrate, SameInputSameBytes) {
  bundle::Bundle again = by_default().bundle;  // a bundle that is calibrated already
  calibrated(again);
  EXPECT_EQ(again.members, by_default().bundle.members);
}

TEST(Calibrate, RunAnswersWithTheBlock) {
  bundle::Bundle bundle = by_default().bundle;
  const Calibrated& result = by_default().result;
  const std::string path = example().folder + "/calibrated.graupel";
  ASSERT_TRUE(bundle::write_bundle(path, bundle).ok());
  const run::BundleEngine loaded = run::load_bundle_engine(path).value();
  ASSERT_TRUE(loaded.decider);
  const run::Plan& plan = run::plan_of(loaded.engine);
  const Tensor windows = first_windows(example().data.windows.raw, 50);
  const std::vector<Tensor> outputs = run::run_windows(loaded.engine, windows).value();
  const std::vector<run::Answer> plain = run::answers_of(plan, outputs, {}).value();
  const std::vector<run::Answer> answers =
      run::answers_of(plan, outputs, {.decider = &*loaded.decider}).value();
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i].class_index, plain[i].class_index);
    EXPECT_NE(answers[i].probability, plain[i].probability);
    EXPECT_FALSE(answers[i].conformal_set->empty());
    EXPECT_EQ(answers[i].fsq_code, plain[i].fsq_code);
    const uint64_t index = decide::code_index(answers[i].fsq_digits, result.block.fsq->levels,
                                              decide::DigitOrder::kFirstFastest);
    EXPECT_EQ(index, static_cast<uint64_t>(*answers[i].fsq_code));
  }
  // A block fitted on another plan must not be believed.
  bundle.members["cpu.plan"] += "x";
  ASSERT_TRUE(bundle::write_bundle(path, bundle).ok());
  EXPECT_FALSE(run::load_bundle_engine(path).ok());
}

TEST(Calibrate, CompilingAgainKeepsTheBlockOnlyForTheSamePlan) {
  bundle::Bundle bundle = by_default().bundle;
  ASSERT_TRUE(compile(bundle).ok());
  EXPECT_TRUE(bundle.members.contains(std::string(decide::kBlockMember)));
  bundle.members["cpu.plan"] = "another";
  ASSERT_TRUE(compile(bundle).ok());
  EXPECT_FALSE(bundle.members.contains(std::string(decide::kBlockMember)));
  EXPECT_EQ(bundle.manifest.stage, bundle::Stage::kCompiled);
}

TEST(Calibrate, OtherMethodsAndConditionsWork) {
  const std::pair<const char*, const char*> cases[] = {{"aps", "class"}, {"raps", "group"}};
  for (const auto& [method, condition] : cases) {
    bundle::Bundle bundle = example().bundle;
    CalibrateOptions options;
    MethodNames names;
    names.method = method;
    names.condition = condition;
    ASSERT_TRUE(choose_methods(names, options).ok());
    options.conformal.randomised = true;
    const Calibrated result = calibrated(bundle, options);
    EXPECT_GT(result.sets.coverage, 0.8) << method << condition;
  }
}

TEST(Calibrate, SaysWhatItCannotJudge) {
  bundle::Bundle bundle = example().bundle;
  const Labelled& data = example().data;
  const Windows few =
      normalized_windows(first_windows(data.windows.raw, 60),
                         first_windows(*data.windows.labels, 60), data.windows.normalization)
          .value();
  const Calibrated result = calibrate(bundle, few, {}, {}).value();
  EXPECT_EQ(validate::outcome(result.judgements[0]), validate::Outcome::kNotMeasured);
  EXPECT_NE(result.judgements[0].detail.find("sample too small"), std::string::npos);
  EXPECT_NE(result.warnings[0].find("no groups were given"), std::string::npos);
  CalibrateOptions strict;
  strict.conformal.alpha = 0.01;
  const Calibrated full = calibrate(bundle, few, {}, strict).value();
  EXPECT_TRUE(full.law.full);
  EXPECT_DOUBLE_EQ(full.sets.full_share, 1.0);
}

TEST(Calibrate, RefusesWhatWouldGiveASilentWrongNumber) {
  bundle::Bundle bundle = example().bundle;
  Windows windows = example().data.windows;
  const auto message = [&](const Result<Calibrated>& result) {
    return result.ok() ? std::string() : result.error().message();
  };
  CalibrateOptions options;
  options.bars = {"nonsense=1"};
  EXPECT_NE(message(calibrate(bundle, windows, {}, options)).find("names no bar"),
            std::string::npos);
  options = {};
  options.conformal.condition = decide::Condition::kGroup;
  EXPECT_NE(message(calibrate(bundle, windows, {}, options)).find("--groups"), std::string::npos);
  windows.raw.mutable_data<float>()[1800 * 7 + 3] = std::nanf("");
  windows.model.mutable_data<float>()[1800 * 7 + 3] = std::nanf("");
  const std::string nan = message(calibrate(bundle, windows, {}, {}));
  EXPECT_TRUE(nan.empty() || nan.find("window 7") != std::string::npos) << nan;
  windows = example().data.windows;
  windows.labels.reset();
  EXPECT_NE(message(calibrate(bundle, windows, {}, {})).find("--labels"), std::string::npos);
  MethodNames names;
  names.method = "top-k";
  EXPECT_FALSE(choose_methods(names, options).ok());
}

// The same windows, each person's sorted by class: bouts of a few windows.
Labelled in_bouts() {
  data::SynthSet set = people(480, 12, 300, 12);
  const std::vector<int64_t> labels = set.labels.to_int64s(), persons = set.subjects.to_int64s();
  std::vector<size_t> order(labels.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(persons[a], labels[a]) < std::pair(persons[b], labels[b]);
  });
  const size_t each = set.windows.size() / order.size();
  Tensor windows(DType::kFloat32, set.windows.shape());
  std::vector<int64_t> sorted_labels, sorted_persons;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto from = set.windows.data<float>().subspan(order[i] * each, each);
    std::copy(from.begin(), from.end(),
              windows.mutable_data<float>().begin() + static_cast<std::ptrdiff_t>(i * each));
    sorted_labels.push_back(labels[order[i]]);
    sorted_persons.push_back(persons[order[i]]);
  }
  const std::string folder = example().folder + "/bouts_";
  const Shape shape = {static_cast<int64_t>(order.size())};
  EXPECT_TRUE(data::write_npy(folder + "windows.npy", windows).ok());
  EXPECT_TRUE(
      data::write_npy(folder + "labels.npy", Tensor::of<int64_t>(shape, sorted_labels)).ok());
  EXPECT_TRUE(
      data::write_npy(folder + "people.npy", Tensor::of<int64_t>(shape, sorted_persons)).ok());
  return load_labelled(example().bundle,
                       {folder + "windows.npy", folder + "labels.npy", folder + "people.npy"})
      .value();
}

TEST(Calibrate, LearnsHowLongBehavioursLastOnSomePeopleAndJudgesOnOthers) {
  const Labelled data = in_bouts();
  for (const char* emission : {"posteriors", "both"}) {
    SCOPED_TRACE(emission);
    CalibrateOptions options;
    HsmmNames names;
    names.wanted = true;
    names.emission = emission;
    names.rate_hz = 100.0;
    const Result<void> no_hop = choose_hsmm(names, data, options);
    EXPECT_NE(no_hop.error().message().find("--hop"), std::string::npos);
    names.hop_samples = 50;
    ASSERT_TRUE(choose_hsmm(names, data, options).ok());
    bundle::Bundle bundle = example().bundle;
    const Result<Calibrated> result = calibrate(bundle, data.windows, data.groups, options);
    ASSERT_TRUE(result.ok()) << result.error().message();
    const decide::Hsmm model = decide::parse_hsmm(result->block.hsmm).value();
    EXPECT_EQ(decide::to_string(model.emission.use), emission);
    EXPECT_EQ(result->hsmm->fit_recordings + result->hsmm->judged_recordings, 12u);
    EXPECT_EQ(result->hsmm->judged.windows, result->split.judge.windows.size());
    EXPECT_GT(result->hsmm->judged.path_accuracy, 0.5);
    EXPECT_EQ(result->judgements.size(), calibrate_bars().size());
    const std::string html = report::render_html(calibrate_report(*result, bundle));
    EXPECT_NE(html.find("HSMM online"), std::string::npos);
    EXPECT_NE(calibrated_text(*result).find("macro-F1"), std::string::npos);
    EXPECT_TRUE(decide::make_decider(result->block, 10).ok());
  }
  CalibrateOptions options;
  HsmmNames names;
  names.wanted = true;
  names.hop_samples = 50;
  names.emission = "digits";
  EXPECT_FALSE(choose_hsmm(names, data, options).ok());
  names.emission = "codes";
  Labelled nobody = data;
  nobody.groups.clear();
  EXPECT_NE(choose_hsmm(names, nobody, options).error().message().find("--recordings"),
            std::string::npos);
}

TEST(Calibrate, TheReportHoldsThePictures) {
  const Calibrated& result = by_default().result;
  const std::string html = report::render_html(calibrate_report(result, by_default().bundle));
  for (const char* text : {"Reliability", "Coverage of each class", "Codes per level", "<svg"}) {
    EXPECT_NE(html.find(text), std::string::npos) << text;
  }
  const nlohmann::ordered_json json = calibrated_json(result);
  EXPECT_EQ(json["bars"].size(), result.judgements.size());
}

TEST(Codes, HostCodesAreComparedAndExplained) {
  const Windows& windows = example().data.windows;
  const std::optional<Codes> codes = measure_codes(example().bundle, windows).value();
  ASSERT_TRUE(codes);
  EXPECT_GT(codes->used, 20);
  EXPECT_LE(codes->entropy_bits, std::log2(codes->possible));
  int64_t digits = 0, flips = 0, flips_of_dimensions = 0;
  for (const MarginBin& bin : codes->margins) digits += bin.digits, flips += bin.flipped;
  for (const CodeDimension& row : codes->dimensions) flips_of_dimensions += row.flips;
  EXPECT_EQ(digits, codes->codes * 5);
  EXPECT_EQ(flips, flips_of_dimensions);
  // What the float network itself says, and the same with the last dimension in ones.
  const Halves halves = float_halves(example().bundle).value();
  const Tensor own = evaluate_halves(halves, windows.model).value().at("fsq_digits");
  const HostCodes same = compare_host_codes(example().bundle, windows, own).value();
  EXPECT_EQ(same.differing_percent, 0.0);
  const std::vector<int64_t> all = own.to_int64s();
  std::vector<int64_t> reversed;
  for (size_t i = 0; i < all.size(); i += 5) {
    reversed.push_back(static_cast<int64_t>(decide::code_index(
        std::span(all).subspan(i, 5), codes->fsq.levels, decide::DigitOrder::kLastFastest)));
  }
  const auto count = static_cast<int64_t>(reversed.size());
  const HostCodes swapped =
      compare_host_codes(example().bundle, windows, Tensor::of<int64_t>({count}, reversed)).value();
  EXPECT_GT(swapped.differing_percent, 10.0);
  EXPECT_NE(swapped.explanation.find("last dimension"), std::string::npos);
  EXPECT_FALSE(
      compare_host_codes(example().bundle, windows, Tensor::of<int64_t>({2}, {1, 2})).ok());
}

}  // namespace
}  // namespace graupel::deploy
