// The report of a deployment: everything that was measured, in one HTML file and one text table.
//
// Idea: `Report` is plain data that any verb can fill; empty parts are left out of the page. The
// HTML needs no network, no script and no fonts of its own, reads on a phone, on paper, in light
// and in dark. Every string but pictures (`cut_svg`, `Figure::svg`) is escaped: names from model
// files are hostile.
// Same Report -> same bytes. Test: report_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace graupel::report {

enum class Status { kPass, kFail, kNotMeasured, kInfo };

// One promise and what was measured for it.
struct Bar {
  std::string id;     // "core_p95", stable
  std::string title;  // "Core latency p95"
  std::string value;  // formatted with its unit: "4.2 ms"; empty: not measured
  std::string limit;  // "< 15 ms"; empty for kInfo
  Status status = Status::kNotMeasured;
  std::string detail;  // one sentence: how it was measured, or what to do
};

struct FindingRow {
  std::string severity;  // "error", "warning", "info" or "host"; others are shown as they are
  std::string rule, subject, message, fix, source;
};

// Quantisation noise of one tensor. `snr_db` may be infinite (exact) or NaN (unknown).
struct NoiseRow {
  std::string node, type;
  double snr_db = 0;
  double minimum = 0, maximum = 0, saturated_percent = 0;
  float scale = 0;
  int zero_point = 0;
};

// One layer quantised alone: what it does to the outputs and to the softmax of the answers.
struct SensitivityRow {
  std::string node, type;
  double output_snr_db = 0, divergence_nats = 0;
};

// One thing the optimiser tried, on windows held out.
struct TryRow {
  std::string what;
  double before_db = 0, after_db = 0;
  bool kept = false;
  std::string cost;           // empty: nothing
  double gain_in_errors = 0;  // t of the paired test
};

// One step of the plan. `time_us` 0 when it was not timed.
struct StepRow {
  std::string node, part;  // part: "device" or "host"
  std::string kernel;
  double time_us = 0;
  int64_t macs = 0, bytes = 0;
};

struct Latency {
  double core_us_p50 = 0, core_us_p95 = 0, core_us_p99 = 0;
  double end_to_end_us_p50 = 0, end_to_end_us_p95 = 0, end_to_end_us_p99 = 0;
  double windows_per_second = 0;
  std::string isa, machine;
};

struct SizeRow {
  std::string name;
  int64_t size_bytes = 0;
  std::string note;
};

struct PassRow {
  std::string pass;
  int64_t edits = 0;
  double time_ms = 0;
};

// counts[truth][predicted], square over `labels`; a short row counts as zeros, a missing label as
// its index. `accuracy` and `macro_f1` are in 0..1.
struct Confusion {
  std::string title;
  std::vector<std::string> labels;
  std::vector<std::vector<int64_t>> counts;
  double accuracy = 0, macro_f1 = 0;
};

// Numbers under a heading, and a picture: what a calibration found.
struct Listing {
  std::string title, intro;
  std::vector<std::pair<std::string, std::string>> rows;  // name, value with its unit
};
struct Figure {
  std::string title, note;
  std::string svg;  // trusted, as cut_svg: texts in it are escaped by who draws it
};

struct Report {
  std::string title, model, target, summary_sentence;
  std::vector<std::pair<std::string, std::string>> facts;  // provenance: name, value
  std::vector<Bar> bars;
  std::string cut_svg;  // trusted: from cut::draw_svg, put into the page as it is
  std::vector<std::string> cut_lines;
  std::vector<FindingRow> findings, calibration_findings;
  std::vector<NoiseRow> noise;
  std::vector<SensitivityRow> sensitivity;        // shown below the noise; needs it
  std::vector<FindingRow> quantization_findings;  // likewise
  std::vector<TryRow> tries;                      // likewise
  std::optional<Latency> latency;
  std::vector<StepRow> steps;
  std::vector<SizeRow> sizes;
  std::vector<PassRow> passes;
  std::optional<Confusion> confusion;
  std::vector<Listing> listings;
  std::vector<Figure> figures;
  std::vector<std::string> not_checked;  // what was not run, and why: "no Hailo-8 on this machine"
};

// The whole report as one HTML document in UTF-8.
std::string render_html(const Report& report);

enum class Color { kOff, kOn };

// The verdict table for the terminal: aligned columns, no line over 100 columns, ends in a newline.
// Color::kOn colours the status words with ANSI codes; the words alone say it too.
std::string render_bars(const std::vector<Bar>& bars, Color color);

}  // namespace graupel::report
