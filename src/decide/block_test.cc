// The decision block written, read back, and refused when anything in it is not known.
#include "decide/block.h"

#include <gtest/gtest.h>

#include <cmath>

namespace graupel::decide {
namespace {

Block full_block() {
  Block block;
  block.classes = 3;
  block.fsq = Fsq{FsqVariant::kIfsq, {3, 2}, DigitOrder::kLastFastest, true, {}};
  block.fsq->int8 = Int8Thresholds{"z", false, 0.015625, 128, {{100, 140}, {256}}};
  block.confidence.method = ConfidenceMethod::kPerGroup;
  block.confidence.temperature = 1.7;
  block.confidence.temperature_low = 1.5;
  block.confidence.temperature_high = kNoThreshold;
  block.confidence.groups = {{-4, 1.25}, {9, 0.1}};
  block.conformal = Conformal{};
  block.conformal->condition = Condition::kClass;
  block.conformal->class_thresholds = {0.25, kNoThreshold, 1.0 / 3.0};
  block.conformal->threshold = 0.9;
  block.adaptive = Adaptive{0.01, 5, {0.1, 0.2, 0.2}};
  block.drift = Drift{{0.1, 0.3}, {4, 5, 0}, 1000.0, 5e4};
  block.hsmm = R"({"states":2})";
  block.provenance.data = "windows.npy";
  block.provenance.fit_groups = {1, 2};
  block.measured = {{"ece", 0.0125}, {"coverage", 0.9}};
  return block;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(Block, ReadsBackWhatWasWritten) {
  const std::string text = format_block(full_block()).value();
  const Result<Block> read = parse_block(text);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(*read, full_block());
  EXPECT_EQ(format_block(*read).value(), text);
}

TEST(Block, AnEmptyOneIsSmallAndReadsBack) {
  Block block;
  block.classes = 10;
  const std::string text = format_block(block).value();
  EXPECT_EQ(parse_block(text).value(), block);
}

TEST(Block, RefusesWhatItDoesNotKnow) {
  const std::string text = format_block(full_block()).value();
  const auto code = [](const std::string& changed) { return parse_block(changed).error().code; };
  EXPECT_EQ(code(replaced(text, "\"version\": 1", "\"version\": 2")), ErrorCode::kUnsupported);
  EXPECT_EQ(code(replaced(text, "\"ifsq\"", "\"fsq-2031\"")), ErrorCode::kUnsupported);
  EXPECT_EQ(code(replaced(text, "\"lac\"", "\"nac\"")), ErrorCode::kUnsupported);
  EXPECT_EQ(code(replaced(text, "\"alpha\"", "\"alfa\"")), ErrorCode::kCorrupt);
  EXPECT_EQ(code(replaced(text, "\"classes\": 3", "\"classes\": 4")), ErrorCode::kCorrupt);
  EXPECT_EQ(code(replaced(text, "\"version\": 1", "\"version\": 1, \"version\": 1")),
            ErrorCode::kCorrupt);
  EXPECT_EQ(code(replaced(text, "\"alarm\": 1000.0", "\"alarm\": 1000.0, \"more\": 1")),
            ErrorCode::kCorrupt);
  EXPECT_EQ(code("[]"), ErrorCode::kCorrupt);
  EXPECT_EQ(code(std::string(100000, '[')), ErrorCode::kCorrupt);
}

TEST(Block, SaysWhichNumberIsWrong) {
  const std::string text = format_block(full_block()).value();
  const Result<Block> read = parse_block(replaced(text, "\"alpha\": 0.1", "\"alpha\": 1.5"));
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().message().find("'conformal.alpha' has to be a number from"),
            std::string::npos)
      << read.error().message();
}

TEST(Block, RefusesToWriteWhatItCouldNotRead) {
  Block block = full_block();
  block.confidence.temperature = std::nan("");
  EXPECT_EQ(format_block(block).error().code, ErrorCode::kInvalidInput);
  block = full_block();
  block.conformal->alpha = 0.0;
  EXPECT_EQ(format_block(block).error().code, ErrorCode::kInvalidInput);
  block = full_block();
  block.hsmm = "{";
  EXPECT_EQ(format_block(block).error().code, ErrorCode::kInvalidInput);
}

}  // namespace
}  // namespace graupel::decide
