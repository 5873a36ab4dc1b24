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
allocator_param(seed=3)
set_input_mask_to_softmax()
spatial_reshape_flow_params(buffer_size_factor=2.5)
out_a = output_layer(conv4, offdevice_layer=nms_postprocess)
{ matmul1: [matmul1_fs, matmul1_d0], matmul2: [matmul2_d0] } = defuse_block(matmul1, matmul2)
change_output_activation(sigmoid)
nms_postprocess("y.json", yolov5)
reshape, yuv1 = input_conversion(input_layer1, nv12_to_rgb, emulator_support = True)
reshape_x = input_conversion(input_layer1, tf_rgbx_to_hailo_rgb, emulator_support=True)
small = resize_input([72, 128], input_layer1)
yuv2 = yuv_to_rgb()
first, second = normalization([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], input_layer2)
pre_quantization_optimization(se_optimization, method=tse, mode=sequential, count=6)
pre_quantization_optimization(layer_norm_decomposition, bit_decomposition_mode=uniform_precision)
pre_quantization_optimization(matmul_correction, layers={matmul*}, correction_type=zp_comp_block)
post_quantization_optimization(adaround, policy=enabled, epochs=100)
post_quantization_optimization(finetune, policy=enabled, loss_types=[l2rel, l2],
                               loss_layer_names=[conv3, bbox_decoder1])
quantization_param({conv*}, precision_mode=a16_w16)
quantization_param(conv1, precision_mode=a8_w8)
buffers(conv1, conv2, 0, PARTIAL_ROW)
buffers(conv2, conv3, 12, 12, FULL_ROW)
buffers(conv3, conv4, 18)
split1 = shape_splitter(SPLIT_WIDTH, conv4, [conv4_sd0, conv4_sd1])
group = bucket([input_layer1, ew_add1])
r = format_conversion(conv3, conv4, conv5, spatial_reshape, 5, 8, collapse=True,
                      input_windows=[1, 3, 1], output_windows=[3, 1, 1])
context_0 = context([conv1, conv2])
place(2, [concat6, conv2])
hef_param(enable_ko=enabled, strict_runtime_versioning=False)
performance_param(optimize_for_batch=1)
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
                     "{conv1: [conv1_fs, conv1_d0]} = defuse_block(conv1, conv2)\n"
                     "buffers(conv1_fs, conv1_d0, 1, FULL_ROW)\n"
                     "ws = shape_splitter(SPLIT_WIDTH, conv2, [conv2_d0, conv2_d1])\n"
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
  // The allocator's settings are published in layers.
  const Finding again = only(
      "context_switch_param(mode=allowed, max_utilization=1.0)\n"
      "context_switch_param(max_utilization=0.5)");
  EXPECT_EQ(again.id, "set-again");
  EXPECT_EQ(again.severity, Severity::kInfo);
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
