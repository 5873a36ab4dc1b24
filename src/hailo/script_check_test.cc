// Findings about model scripts: each with a script that has it and one that does not.
#include "hailo/script_check.h"

#include <gmock/gmock.h>

namespace graupel::hailo {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::vector<Finding> judged(std::string_view text, const ScriptContext& context = {}) {
  const Result<Script> script = parse_script(text);
  EXPECT_TRUE(script.ok()) << text;
  return script.ok() ? check_script(*script, context) : std::vector<Finding>{};
}

// The one finding there is.
Finding only(std::string_view text, const ScriptContext& context = {}) {
  const std::vector<Finding> findings = judged(text, context);
  EXPECT_EQ(findings.size(), 1u) << text << "\n" << format_findings(findings);
  return findings.empty() ? Finding{} : findings[0];
}

TEST(ScriptCheck, PublishedFormsAreClean) {
  EXPECT_THAT(judged(R"(
normalization1 = normalization([0.0, 0.0, 0.0], [255.0, 255.0, 255.0])
change_output_activation(conv80, sigmoid)
change_output_activation(conv95, sigmoid)
model_optimization_flavor(optimization_level=0, compression_level=0)
model_optimization_config(calibration, batch_size=8, calibset_size=32)
model_optimization_config(negative_exponent, layers={*}, rank=0)
model_optimization_config(checker_cfg, policy=enabled, batch_size=1)
quantization_param([net/conv116, net/conv115], precision_mode=a16_w16)
quantization_param([net/conv116, net/conv115], bias_mode=single_scale_decomposition)
pre_quantization_optimization(activation_clipping, layers=[conv1], mode=manual,
                              clipping_values=[0, 6])
pre_quantization_optimization(activation_clipping, layers=[conv2], mode=manual,
                              clipping_values=[0, 8])
compilation_param({conv*}, resources_allocation_strategy=manual_scs_selection)
compilation_param(conv3, number_of_subclusters=8)
context_0.compilation_param(conv3, number_of_subclusters=4)
a, b = shortcut(conv1, conv2)
allocator_param(timeout=43200)
allocator_param(automatic_reshapes=enabled)
performance_param(compiler_optimization_level=max)
nms_postprocess("x.json", meta_arch=yolov8, engine=cpu)
optimize_buffers()
)"),
              IsEmpty());
}

TEST(ScriptCheck, UnknownCommands) {
  const Finding near = only("\nquantisation_param(conv1, precision_mode=a8_w8)");
  EXPECT_EQ(near.severity, Severity::kError);
  EXPECT_EQ(near.id, "unknown-command");
  EXPECT_EQ(near.where, "line 2");
  EXPECT_THAT(near.fix, HasSubstr("quantization_param"));
  EXPECT_EQ(only("frobnicate(conv1)").severity, Severity::kWarning);
}

TEST(ScriptCheck, LayersOfTheParsedNetwork) {
  ScriptContext context;
  context.layers = {"net/input_layer1", "net/conv1", "net/conv2", "net/fc1"};
  EXPECT_THAT(judged("quantization_param([net/conv1, fc1], precision_mode=a8_w4)\n"
                     "quantization_param({conv[1-2]}, precision_mode=a8_w8)\n"
                     "conv2_d0, conv2_d1 = defuse(conv2, 2)\n"
                     "compilation_param(conv2_d0, number_of_subclusters=4)",
                     context),
              IsEmpty());
  const Finding missing = only("quantization_param([conv1, conv3], precision_mode=a8_w4)", context);
  EXPECT_EQ(missing.id, "unknown-layer");
  EXPECT_EQ(missing.severity, Severity::kError);
  EXPECT_THAT(missing.message, HasSubstr("'conv3'"));
  EXPECT_EQ(only("compilation_param(conv9, number_of_apus=1)", context).severity,
            Severity::kWarning);
  EXPECT_THAT(only("quantization_param({dw*}, precision_mode=a8_w4)", context).message,
              HasSubstr("{dw*} matches no layer"));
  EXPECT_THAT(
      only("pre_quantization_optimization(equalization, layers=[conv4], policy=enabled)", context)
          .message,
      HasSubstr("'conv4'"));
  EXPECT_THAT(only("change_output_activation(conv5, sigmoid)", context).message,
              HasSubstr("'conv5'"));
  EXPECT_THAT(judged("change_output_activation(sigmoid)", context), IsEmpty());
}

TEST(ScriptCheck, LayersThatCannotBe) {
  ScriptContext context;
  context.most_layers = {{"conv", 3}, {"fc", 1}};
  EXPECT_THAT(judged("quantization_param([conv3, fc1, some_name7], precision_mode=a8_w8)", context),
              IsEmpty());
  EXPECT_THAT(only("quantization_param(net/conv4, precision_mode=a8_w8)", context).message,
              HasSubstr("at most 3"));
}

TEST(ScriptCheck, Contradictions) {
  const Finding twice = only("performance_param(fps=100)\n# \nperformance_param(fps=200)");
  EXPECT_EQ(twice.id, "contradiction");
  EXPECT_THAT(twice.message, HasSubstr("line 1"));
  EXPECT_EQ(twice.where, "line 3");
  EXPECT_THAT(judged("performance_param(fps=100)\nperformance_param(fps=100)"), IsEmpty());
  EXPECT_EQ(only("quantization_param(conv1, precision_mode=a8_w4)\n"
                 "quantization_param(conv1, precision_mode=a8_w8)")
                .id,
            "contradiction");
  EXPECT_EQ(only("model_optimization_flavor(optimization_level=0, compression_level=2)").id,
            "contradiction");
  EXPECT_EQ(only("n = normalization([0.0], [1.0])\nm = normalization([0.0], [1.0])").id,
            "double-normalization");
}

TEST(ScriptCheck, WhatTheCalibrationSetAllows) {
  ScriptContext context;
  context.calibration_windows = 200;
  context.normalized_on_host = true;
  EXPECT_EQ(only("model_optimization_flavor(optimization_level=2)", context).id,
            "level-needs-windows");
  EXPECT_EQ(only("model_optimization_config(calibration, calibset_size=201)", context).id,
            "calibration-size");
  EXPECT_EQ(only("model_optimization_config(calibration, calibset_size=0)", context).severity,
            Severity::kError);
  EXPECT_EQ(only("n = normalization([0.0], [1.0])", context).id, "double-normalization");
  context.calibration_windows = 1024;
  EXPECT_THAT(judged("model_optimization_flavor(optimization_level=2)\n"
                     "model_optimization_config(calibration, calibset_size=1024)",
                     context),
              IsEmpty());
}

TEST(ScriptCheck, Values) {
  EXPECT_EQ(only("quantization_param(conv1, precision_mode=a4_w4)").id, "unusual-value");
  EXPECT_EQ(only("performance_param(compiler_optimization_level=3)").id, "unusual-value");
  EXPECT_EQ(only("quantization_param(conv1, force_range_in=[2.0, -2.0])").id, "empty-range");
  EXPECT_THAT(
      judged("quantization_param(ew_add1, force_range_in=[-2.0, 2.0], force_range_index=0)\n"
             "quantization_param(ew_add1, force_range_in=[-3.0, 3.0], force_range_index=1)"),
      IsEmpty());
}

}  // namespace
}  // namespace graupel::hailo
