// Answers and their texts, read back.
#include "run/answers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "run/plan_builder.h"

namespace graupel::run {
namespace {

Plan plan_with_fsq() {
  PlanBuilder b;
  b.input({1, 3});
  b.output(b.buffer(DType::kFloat32, {1, 3}), "logits", Role::kLogits);
  b.output(b.buffer(DType::kInt64, {1, 2}), "digits", Role::kFsqDigits);
  b.output(b.buffer(DType::kInt64, {1}), "code", Role::kFsqCode);
  return b.plan;
}

std::vector<Tensor> outputs() {
  return {Tensor::of<float>({2, 3}, {0.1f, 2.5f, -1.0f, 7.0f, 7.0f, 0.0f}),
          Tensor::of<int64_t>({2, 2}, {1, 2, 3, 4}), Tensor::of<int64_t>({2}, {17, 35})};
}

const std::vector<std::string> kLabels = {"walk", "run, \"fast\"", "jump"};

TEST(Answers, TakeTheLargestLogitTheFirstOfEquals) {
  const Result<std::vector<Answer>> answers =
      answers_of(plan_with_fsq(), outputs(), {.labels = kLabels});
  ASSERT_TRUE(answers.ok()) << answers.error().message();
  ASSERT_EQ(answers->size(), 2u);
  EXPECT_EQ((*answers)[0].class_index, 1);
  EXPECT_EQ((*answers)[0].label, kLabels[1]);
  const double expected = 1.0 / (1.0 + std::exp(double{0.1f} - 2.5) + std::exp(-3.5));
  EXPECT_NEAR((*answers)[0].probability, expected, 1e-12);
  EXPECT_EQ((*answers)[1].class_index, 0);
  EXPECT_EQ((*answers)[1].fsq_digits, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ((*answers)[1].fsq_code, 35);
}

TEST(Answers, RefuseLabelsThatDoNotFit) {
  const std::vector<std::string> two = {"a", "b"};
  EXPECT_EQ(answers_of(plan_with_fsq(), outputs(), {.labels = two}).error().code,
            ErrorCode::kInvalidInput);
}

TEST(Answers, NeedOneFloatOutput) {
  Plan plan = plan_with_fsq();
  plan.outputs[0].role = Role::kOther;
  EXPECT_EQ(logits_output(plan).value(), 0u);
  plan.outputs.push_back(plan.outputs[0]);
  EXPECT_EQ(logits_output(plan).error().code, ErrorCode::kUnsupported);
}

TEST(Answers, JsonReadsBackTheSameNumbers) {
  const std::vector<Answer> answers =
      answers_of(plan_with_fsq(), outputs(), {.labels = kLabels}).value();
  const nlohmann::json all = nlohmann::json::parse(format_json(answers, "cpu/avx2"));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["label"], kLabels[1]);
  EXPECT_EQ(all[0]["logits"][0].get<float>(), 0.1f);
  EXPECT_EQ(all[1]["fsq_code"], 35);
  EXPECT_EQ(all[1]["engine"], "cpu/avx2");
  const std::string lines = format_json_lines(answers, "cpu");
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_NE(lines.find("\"logits\":[0.1,2.5,-1]"), std::string::npos) << lines;
  EXPECT_EQ(nlohmann::json::parse(format_json({}, "cpu")).size(), 0u);
}

TEST(Answers, JsonHasNoNumberForInfinity) {
  Answer answer;
  answer.logits = {INFINITY, 1.0f};
  answer.probability = NAN;
  const nlohmann::json json = nlohmann::json::parse(format_json_lines({&answer, 1}, "cpu"));
  EXPECT_TRUE(json["logits"][0].is_null());
  EXPECT_TRUE(json["probability"].is_null());
}

TEST(Answers, ADecisionBlockGivesClassProbabilityAndSet) {
  decide::Block block;
  block.classes = 3;
  block.confidence.method = decide::ConfidenceMethod::kTemperature;
  block.confidence.temperature = 2.0;
  block.conformal = decide::Conformal{};
  block.conformal->threshold = 0.7;  // p >= 0.3
  block.drift = decide::Drift{{0.5}, {1, 1}, 1000.0, 1e5};
  const decide::Decider decider = decide::make_decider(block, 3).value();
  const AnswerContext context = {.labels = kLabels, .decider = &decider, .group = {}};
  const Plan plan = plan_with_fsq();
  const std::vector<Answer> answers = answers_of(plan, outputs(), context).value();
  const double expected = 1.0 / (1.0 + std::exp((double{0.1f} - 2.5) / 2.0) + std::exp(-1.75));
  EXPECT_NEAR(answers[0].probability, expected, 1e-12);
  EXPECT_EQ(answers[0].conformal_set, (std::vector<int64_t>{1}));
  EXPECT_EQ(answers[1].conformal_set, (std::vector<int64_t>{0, 1}));
  const nlohmann::json json = nlohmann::json::parse(format_json(answers, "cpu"));
  EXPECT_EQ(json[1]["conformal_set"], (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(json[0]["calibrated"], true);
  EXPECT_NE(format_csv(answers, "cpu").find(",35,0 1,cpu\n"), std::string::npos);
  EXPECT_FALSE(drift_alarm(plan, outputs(), context).value());
  block.classes = 4;
  const decide::Decider other = decide::make_decider(block, 4).value();
  EXPECT_FALSE(answers_of(plan, outputs(), {.labels = {}, .decider = &other, .group = {}}).ok());
}

TEST(Answers, ALogitThatIsNoNumberGivesEveryClassAndNoProbability) {
  decide::Block block;
  block.classes = 3;
  block.conformal = decide::Conformal{};
  block.conformal->threshold = 0.1;
  const decide::Decider decider = decide::make_decider(block, 3).value();
  std::vector<Tensor> bad = outputs();
  bad[0].mutable_data<float>()[1] = std::nanf("");
  const std::vector<Answer> answers =
      answers_of(plan_with_fsq(), bad, {.labels = {}, .decider = &decider, .group = {}}).value();
  EXPECT_TRUE(std::isnan(answers[0].probability));
  EXPECT_EQ(answers[0].conformal_set->size(), 3u);
  EXPECT_FALSE(std::isnan(answers[1].probability));
}

TEST(Answers, CsvQuotesAndKeepsItsColumns) {
  const std::vector<Answer> answers =
      answers_of(plan_with_fsq(), outputs(), {.labels = kLabels}).value();
  const std::string csv = format_csv(answers, "cpu");
  EXPECT_EQ(csv.substr(0, csv.find('\n')),
            "window,class,label,probability,logit_0,logit_1,logit_2,fsq_digit_0,fsq_digit_1,"
            "fsq_code,engine");
  EXPECT_NE(csv.find("0,1,\"run, \"\"fast\"\"\",0."), std::string::npos) << csv;
  EXPECT_NE(csv.find(",0.1,2.5,-1,1,2,17,cpu\n"), std::string::npos) << csv;
}

}  // namespace
}  // namespace graupel::run
