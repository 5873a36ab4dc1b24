// The sample of report_sample.h: numbers as the FSQ behaviour classifier gives them.
#include "report/report_sample.h"

#include <limits>

namespace graupel::report {
namespace {

void add_bars(Report& report) {
  report.bars = {
      {"simplified", "Simplified vs. original", "3.1e-06", "< 1e-3", Status::kPass,
       "Largest difference of a raw logit over 2000 windows."},
      {"recombined", "Device + host vs. whole", "0 bits differ", "bit for bit", Status::kPass, ""},
      {"snr", "INT8 signal to noise at the output", "28.4 dB", "> 20 dB", Status::kPass, ""},
      {"argmax", "Same class, float and INT8", "99.2 %", "> 98 %", Status::kPass,
       "1984 of 2000 windows."},
      {"fsq_flip", "FSQ codes that change", "6.4 %", "< 5 %", Status::kFail,
       "128 of 2000 windows get another code; try --calibrator mse or more calibration windows."},
      {"f1_drop", "Macro-F1 lost by INT8", "0.004", "< 0.02", Status::kPass, ""},
      {"core_p95", "Core latency, p95", "0.21 ms", "< 15 ms", Status::kPass, ""},
      {"end_to_end_p95", "End-to-end latency, p95", "0.38 ms", "< 100 ms", Status::kPass, ""},
      {"rate", "Windows per second", "4120", "> 10", Status::kPass, ""},
      {"artefact", "Bundle size", "0.42 MiB", "< 10 MB", Status::kPass, ""},
      {"npu_p95", "NPU latency, p95", "", "< 15 ms", Status::kNotMeasured,
       "No Hailo-8 is attached to this machine."},
      {"codes", "FSQ codes in use", "412 of 4800", "", Status::kInfo, ""},
  };
}

void add_findings(Report& report) {
  const std::string guide = "Hailo DFC user guide 3.30, 4.2 (confidence: high)";
  report.findings = {
      {"host", "op-round", "/fsq/Round", "Round has no form on the device.",
       "Nothing to do: the cut leaves it to the host part.", guide},
      {"warning", "channels-aligned", "/features/0/Conv",
       "32 of 9 input channels fill the lanes: channel counts that are no multiple of 8 waste "
       "compute.",
       "Pad the input to 16 channels if latency matters.", "vendor forum, 2024"},
      {"warning", "channels-aligned", "/features/4/Conv",
       "32 of 9 input channels fill the lanes: channel counts that are no multiple of 8 waste "
       "compute.",
       "Pad the input to 16 channels if latency matters.", "vendor forum, 2024"},
      {"info", "opset", "", "The file declares opset 17; 11 to 17 are accepted.", "", guide},
      {"error", "softmax-tail", "/classifier/Softmax",
       "Softmax stands in front of the output, raw logits are wanted.",
       "Export the model without it; graupel applies the calibrated temperature.", guide},
  };
  report.calibration_findings = {
      {"warning", "few-windows", "windows.npy", "96 windows: ranges of rare movements may be cut.",
       "Use 1000 windows or more.", ""},
  };
}

void add_noise_and_steps(Report& report) {
  const double exact = std::numeric_limits<double>::infinity();
  report.noise = {
      {"/features/0/Conv", "Conv+Relu", 41.7, 0, 6.213, 0.02, 0.024364F, 0},
      {"/features/4/Conv", "Conv+Relu", 33.2, 0, 9.871, 0.004, 0.038711F, 0},
      {"/features/8/Conv", "Conv+Relu", 24.6, 0, 11.24, 0, 0.044078F, 0},
      {"/pool/GlobalAveragePool", "GlobalAveragePool", 26.0, 0, 4.31, 0, 0.016902F, 0},
      {"/project/Gemm", "Gemm", 17.8, -3.92, 4.07, 0.31, 0.032047F, 0},
      {"/fsq/Mul", "Mul", 8.9, -3.5, 3.5, 1.25, 0.027559F, 0},
      {"/fsq/Round", "Round", exact, -4, 3, 0, 1, 0},
  };
  report.steps = {
      {"/features/0/Conv", "device", "conv_i8_avx512vnni+relu+pool", 61.2, 806400, 12672},
      {"/features/4/Conv", "device", "conv_i8_avx512vnni+relu+pool", 78.9, 3072000, 17024},
      {"/features/8/Conv", "device", "conv_i8_avx512vnni+relu", 52.4, 6144000, 57600},
      {"/pool/GlobalAveragePool", "device", "global_average_i8", 4.1, 0, 3328},
      {"/project/Gemm", "device", "gemm_i8_avx512vnni", 1.2, 640, 773},
      {"/fsq/Tanh", "host", "tanh_f32", 0.4, 0, 40},
      {"/fsq/Round", "host", "round_f32", 0.1, 0, 40},
      {"/classifier/0/Gemm", "host", "gemm_f32", 0.9, 320, 1576},
      {"/classifier/3/Gemm", "host", "gemm_f32", 1.1, 640, 2856},
  };
}

void add_confusion(Report& report) {
  Confusion confusion;
  confusion.title = "INT8 on 2000 labelled windows";
  confusion.labels = {"stationary", "walking", "running", "turning", "jumping",
                      "climbing",   "lying",   "shaking", "eating",  "drinking"};
  for (int64_t truth = 0; truth < 10; ++truth) {
    std::vector<int64_t>& row = confusion.counts.emplace_back(10, 0);
    row[static_cast<size_t>(truth)] = 188 - truth * 3;
    row[static_cast<size_t>((truth + 1) % 10)] = 9 + truth * 2;
    row[static_cast<size_t>((truth + 3) % 10)] = 3 + truth;
  }
  confusion.accuracy = 0.8725;
  confusion.macro_f1 = 0.871;
  report.confusion = confusion;
}

}  // namespace

Report sample_report() {
  Report report;
  report.title = "fsq_imu on hailo8";
  report.model = "models/fsq_imu_synthetic.onnx";
  report.target = "hailo8";
  report.summary_sentence =
      "5 of 12 nodes run on the device; the tail with FSQ stays on the host and answers bit for "
      "bit as the original.";
  report.facts = {
      {"Model SHA-256", "9f2c1b7ad0d4e1c65f0a4b3a8f1d7e6c5b4a39281706f5e4d3c2b1a09f8e7d6c"},
      {"Calibration", "windows.npy, 1000 windows 1x9x2x100"},
      {"Calibrator", "percentile 99.99"},
      {"graupel", "0.1.0"},
  };
  report.cut_lines = {"cut behind /project/Gemm: 1x5, 5 B as INT8",
                      "FSQ on the host: levels 8 6 5 5 4, 4800 codes, variant lucidrains-2024"};
  report.cut_svg =
      "<svg class=\"graupel-cut\" viewBox=\"0 0 10 10\" role=\"img\" aria-label=\"cut\">"
      "<rect width=\"10\" height=\"10\"/></svg>\n";
  report.latency =
      Latency{198.4, 212.7, 260.3, 341.0, 380.5, 455.9, 4120, "avx512vnni", "Intel Xeon, 2 cores"};
  report.sizes = {{"fsq.graupel", 438272, "the bundle"},
                  {"cpu.plan", 98304, "weights packed for the CPU"},
                  {"device.onnx", 201728, "QDQ"},
                  {"host.onnx", 6144, "float"}};
  report.passes = {{"fold_constants", 14, 0.82},
                   {"fuse_batch_norm", 3, 0.11},
                   {"remove_identities", 4, 0.04},
                   {"merge_transposes", 0, 0.01}};
  report.not_checked = {"No Hailo-8 is attached: the NPU's answers and its latency.",
                        "No vendor compiler on this machine: model.hef was not made."};
  add_bars(report);
  add_findings(report);
  add_noise_and_steps(report);
  add_confusion(report);
  return report;
}

}  // namespace graupel::report
