// Flags that exist pass; invented ones and those graupel sets are refused by name.
#include "hailo/arguments.h"

#include <gmock/gmock.h>

namespace graupel::hailo {
namespace {

using testing::HasSubstr;

void refused(Stage stage, const std::vector<std::string>& words, const std::string& part) {
  const Result<void> result = check_extra(stage, words);
  ASSERT_FALSE(result.ok()) << part;
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(result.error().message(), HasSubstr(part));
}

TEST(Arguments, RealOnesPass) {
  EXPECT_TRUE(check_extra(Stage::kParser,
                          {"--tensor-shapes", "[1,3,8,8]", "--compare", "--input-format=NCHW"})
                  .ok());
  EXPECT_TRUE(check_extra(Stage::kParser, {"--start-node-names", "a", "b"}).ok());
  EXPECT_TRUE(check_extra(Stage::kOptimize, {"--work-dir", "w"}).ok());
  EXPECT_TRUE(check_extra(Stage::kCompiler, {"--auto-model-script", "a.alls"}).ok());
  EXPECT_TRUE(check_extra(Stage::kCompiler, {}).ok());
}

TEST(Arguments, OthersDoNot) {
  for (const std::string flag :
       {"--quantization-precision", "--performance-mode", "--output-hef-path", "--measure-fps",
        "--analyze-ops", "--quantization-mode=auto_scale", "--batch-size"}) {
    for (const Stage stage : {Stage::kParser, Stage::kOptimize, Stage::kCompiler}) {
      refused(stage, {flag}, "in no release");
    }
  }
  refused(Stage::kCompiler, {"--frobnicate"}, "is not known to have --frobnicate");
  refused(Stage::kOptimize, {"--use-random-calib-set", "false"}, "gets --use-random-calib-set");
  refused(Stage::kParser, {"--compare", "false"}, "takes no 'false'");
  refused(Stage::kParser, {"--compare=no"}, "takes no value");
  refused(Stage::kOptimize, {"--work-dir"}, "needs a value");
  refused(Stage::kOptimize, {"--work-dir", "a", "b"}, "takes no 'b'");
  refused(Stage::kParser, {"stray"}, "takes no 'stray'");
  refused(Stage::kParser, {"-y"}, "gets -y from graupel");
}

}  // namespace
}  // namespace graupel::hailo
