// States of windows that are recordings: the HSMM's filter, anew with every group, in every format.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/npy.h"
#include "run/answers.h"
#include "run/plan_builder.h"

namespace graupel::run {
namespace {

Plan plan_of_logits() {
  PlanBuilder b;
  b.input({1, 2});
  b.output(b.buffer(DType::kFloat32, {1, 2}), "logits", Role::kLogits);
  return b.plan;
}

// 5 windows of the first class, 4 of the second; then another recording with 3 of the second.
std::vector<Tensor> outputs() {
  std::vector<float> logits;
  for (int t = 0; t < 12; ++t) {
    logits.push_back(t < 5 ? 4.0f : 0.0f);
    logits.push_back(t < 5 ? 0.0f : 4.0f);
  }
  return {Tensor::of<float>({12, 2}, logits)};
}

decide::Decider decider() {
  decide::Hsmm model;
  model.window_samples = 100;
  model.hop_samples = 50;
  model.rate_hz = 25.0;
  model.maximum_duration = 30;
  model.initial = {0.5, 0.5};
  model.transitions = {{0, 1, 1, 0}};
  model.durations.assign(2, {decide::DurationFamily::kPoisson, {6.0}});
  model.emission.prior = {0.5, 0.5};
  decide::Block block;
  block.classes = 2;
  block.hsmm = decide::format_hsmm(model).value();
  return decide::make_decider(std::move(block), 2).value();
}

const std::vector<std::string> kLabels = {"rest", "walk"};
const std::vector<int64_t> kGroups = {1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2};

TEST(States, AStateLastsAndBeginsAnewWithEveryGroup) {
  const decide::Decider with_hsmm = decider();
  AnswerContext context = {.labels = kLabels, .decider = &with_hsmm};
  const Plan plan = plan_of_logits();
  const std::vector<Answer> in_any_order = answers_of(plan, outputs(), context).value();
  for (const Answer& answer : in_any_order) EXPECT_FALSE(answer.state);
  context.recording = RecordingContext{kGroups, {}};
  const std::vector<Answer> answers = answers_of(plan, outputs(), context).value();
  EXPECT_EQ(answers[4].state->label, "rest");
  EXPECT_EQ(answers[4].state->since_window, 0);
  EXPECT_EQ(answers[4].state->lasted_s, 10.0);
  EXPECT_TRUE(answers[4].state->at_least);
  EXPECT_EQ(answers[8].state->state, 1);
  EXPECT_EQ(answers[8].state->since_window, 5);
  EXPECT_EQ(answers[8].state->lasted_windows, 4);
  EXPECT_FALSE(answers[8].state->at_least);
  EXPECT_EQ(answers[11].state->since_window, 9);
  EXPECT_TRUE(answers[11].state->at_least);
  const nlohmann::json json = nlohmann::json::parse(format_json(answers, "cpu"));
  EXPECT_EQ(json[8]["state"]["label"], "walk");
  EXPECT_EQ(json[8]["state"]["lasted_s"], 8.0);
  const std::string csv = format_csv(answers, "cpu");
  EXPECT_NE(csv.find(",state_lasted_s,state_at_least,engine\n"), std::string::npos);
  EXPECT_NE(csv.find(",5,8,0,cpu\n"), std::string::npos) << csv;
  const auto prefix = std::filesystem::temp_directory_path() / "graupel_states_test";
  ASSERT_TRUE(write_arrays(prefix.string(), plan, outputs(), context).ok());
  const Tensor since = data::read_npy(prefix.string() + ".state_since_window.npy").value();
  EXPECT_EQ(since.to_int64s()[8], 5);
  for (const char* name : {"logits", "class", "probability", "state", "state_since_window",
                           "state_probability", "state_lasted_s", "state_at_least"}) {
    std::filesystem::remove(prefix.string() + "." + name + ".npy");
  }
}

TEST(States, AnotherHopThanTheFitsIsSaid) {
  const decide::Decider with_hsmm = decider();
  AnswerContext context = {.decider = &with_hsmm};
  EXPECT_FALSE(hop_note(context));
  for (const int64_t same : {0, 50}) {
    context.recording = RecordingContext{{}, {.hop_samples = same}};
    EXPECT_FALSE(hop_note(context));
  }
  context.recording->sequence.hop_samples = 25;
  EXPECT_EQ(hop_note(context),
            "the HSMM was fitted at a hop of 50 samples; its durations and the weight of a window "
            "are rescaled to 25");
  context.decider = nullptr;
  EXPECT_FALSE(hop_note(context));
}

TEST(States, RefusalsSayWhatIsMissing) {
  const Plan plan = plan_of_logits();
  const auto refused = [&](const AnswerContext& context, const std::string& part) {
    const Result<std::vector<Answer>> answers = answers_of(plan, outputs(), context);
    ASSERT_FALSE(answers.ok());
    EXPECT_NE(answers.error().message().find(part), std::string::npos) << answers.error().message();
  };
  AnswerContext context;
  context.recording = RecordingContext{};
  refused(context, "no HSMM");
  decide::Block block;
  block.classes = 2;
  const decide::Decider plain = decide::make_decider(block, 2).value();
  context.decider = &plain;
  refused(context, "has no HSMM");
  const decide::Decider with_hsmm = decider();
  context.decider = &with_hsmm;
  context.recording->groups = std::span(kGroups).first(3);
  refused(context, "3 numbers for 12 windows");
  context.recording->groups = {};
  context.recording->sequence.hop_samples = 50 * 100;
  refused(context, "64 times");
  const std::vector<Tensor> no_windows = {Tensor(DType::kFloat32, {0, 2})};
  EXPECT_FALSE(answers_of(plan, no_windows, {.recording = RecordingContext{}}).ok());
}

}  // namespace
}  // namespace graupel::run
