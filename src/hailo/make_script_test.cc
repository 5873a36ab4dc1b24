// The script graupel writes, and that a user's own wins where both speak.
#include "hailo/make_script.h"

#include <gmock/gmock.h>

#include "hailo/script_check.h"

namespace graupel::hailo {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string made(const ScriptOptions& options) {
  const Result<Script> script = make_script(options);
  EXPECT_TRUE(script.ok()) << (script.ok() ? "" : script.error().message());
  return script.ok() ? format_script(*script) : "";
}

TEST(MakeScript, StatesLevelAndSizeOfTheCalibrationSet) {
  ScriptOptions options;
  options.calibration_windows = 200;
  EXPECT_EQ(made(options),
            "# written by graupel\n"
            "model_optimization_flavor(optimization_level=1, compression_level=0)\n"
            "model_optimization_config(calibration, batch_size=8, calibset_size=200)\n");
  options.calibration_windows = 5000;
  EXPECT_THAT(made(options), HasSubstr("optimization_level=2"));
  EXPECT_THAT(made(options), HasSubstr("calibset_size=1024"));
}

TEST(MakeScript, EveryOptionIsWrittenAndReadsBack) {
  ScriptOptions options;
  options.mean = {0.5, -1};
  options.std = {1, 2.25};
  options.optimization_level = 4;
  options.compression_level = 1;
  options.calibration_windows = 4;
  options.precision = {{"output_layer1", "a16_w16"}, {"{conv*}", "a8_w4"}};
  options.compiler_effort = "max";
  options.fps = 120;
  options.allocator = {{"timeout", "5h"}, {"automatic_ddr", "False"}};
  options.resources = {{"max_control_utilization", "0.75"}};
  options.nms = NmsOptions{"yolov8", "nms config.json", "cpu"};
  const std::string text = made(options);
  EXPECT_EQ(text,
            "# written by graupel\n"
            "normalization1 = normalization([0.5, -1.0], [1.0, 2.25])\n"
            "model_optimization_flavor(optimization_level=4, compression_level=1)\n"
            "model_optimization_config(calibration, batch_size=4, calibset_size=4)\n"
            "quantization_param([output_layer1], precision_mode=a16_w16)\n"
            "quantization_param({conv*}, precision_mode=a8_w4)\n"
            "performance_param(compiler_optimization_level=max, fps=120.0)\n"
            "allocator_param(timeout=5h, automatic_ddr=False)\n"
            "resources_param(max_control_utilization=0.75)\n"
            "nms_postprocess(\"nms config.json\", meta_arch=yolov8, engine=cpu)\n");
  const Result<Script> again = parse_script(text);
  ASSERT_TRUE(again.ok());
  EXPECT_THAT(check_script(*again), IsEmpty());
}

TEST(MakeScript, RefusesTextThatWouldBreakTheScript) {
  ScriptOptions options;
  options.precision = {{"conv1) evil(", "a8_w8"}};
  EXPECT_FALSE(make_script(options).ok());
  options.precision = {{"conv1", "a8_w8)"}};
  EXPECT_FALSE(make_script(options).ok());
  options.precision.clear();
  options.allocator = {{"[1]", "2"}};
  EXPECT_FALSE(make_script(options).ok());
  options.allocator = {{"x=1, y", "2"}};
  EXPECT_FALSE(make_script(options).ok());
  options.allocator.clear();
  options.nms = NmsOptions{"yolov8", "a\"b", "cpu"};
  EXPECT_FALSE(make_script(options).ok());
}

TEST(MakeScript, TheUsersScriptWinsAndStaysAsItIs) {
  ScriptOptions options;
  options.calibration_windows = 2000;
  options.precision = {{"conv1", "a16_w16"}};
  options.compiler_effort = "max";
  const std::string theirs =
      "# mine\nmodel_optimization_flavor( optimization_level=0 )  # quick\n"
      "quantization_param(conv1,precision_mode=a8_w4)\n\n# end\n";
  const Merged merged = merge(make_script(options).value(), parse_script(theirs).value());
  const std::string text = format_script(merged.script);
  EXPECT_THAT(text, HasSubstr(theirs));
  EXPECT_THAT(text, HasSubstr("model_optimization_flavor(compression_level=0)"));
  EXPECT_THAT(text, HasSubstr("performance_param(compiler_optimization_level=max)"));
  EXPECT_THAT(text, Not(HasSubstr("a16_w16")));
  EXPECT_EQ(merged.dropped.size(), 2u);
  const Result<Script> again = parse_script(text);
  ASSERT_TRUE(again.ok()) << text;
  for (const Finding& finding : check_script(*again)) EXPECT_NE(finding.id, "contradiction");
}

TEST(MakeScript, AnEmptyUserScriptChangesNothing) {
  ScriptOptions options;
  options.calibration_windows = 100;
  const Script ours = make_script(options).value();
  EXPECT_EQ(format_script(merge(ours, {}).script), format_script(ours));
}

TEST(MakeScript, AUsersNormalizationReplacesOurs) {
  ScriptOptions options;
  options.mean = {0};
  options.std = {1};
  const Merged merged = merge(
      make_script(options).value(),
      parse_script("n1 = normalization([3.0], [4.0])\nnms_postprocess(meta_arch=ssd)").value());
  EXPECT_THAT(format_script(merged.script), Not(HasSubstr("[1.0]")));
  EXPECT_EQ(merged.dropped.size(), 1u);
}

}  // namespace
}  // namespace graupel::hailo
