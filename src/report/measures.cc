// What was measured: noise per layer, latency, sizes, the simplifier's trace. See parts.h.
// Test: report_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {
namespace {

// Below 10 dB a layer's noise is a third of its signal's amplitude; below 20 dB a tenth.
constexpr double kPoorDb = 10, kWeakDb = 20;
// The chart's end: 8 bits seldom give more than 50 dB.
constexpr double kMostDb = 50;

struct Grade {
  std::string_view kind, word;
};
Grade grade_of(double snr_db) {
  if (std::isnan(snr_db)) return {"none", "unknown"};
  if (snr_db < kPoorDb) return {"bad", "poor"};
  if (snr_db < kWeakDb) return {"warn", "weak"};
  return {"good", std::isinf(snr_db) ? "no noise" : "good"};
}

// Worst first; an unknown noise comes before all others because it has to be looked at.
double noise_key(const NoiseRow& row) { return std::isnan(row.snr_db) ? -INFINITY : row.snr_db; }

std::string noise_row(const NoiseRow& row) {
  const Grade grade = grade_of(row.snr_db);
  constexpr std::array kMarks = {kPoorDb / kMostDb * 100, kWeakDb / kMostDb * 100};
  const double percent = std::isnan(row.snr_db) ? 0 : row.snr_db / kMostDb * 100;
  return fmt::format(
      "<tr><th scope=\"row\">{} <span class=\"muted\">{}</span></th><td class=\"chart\">{}"
      "<span class=\"under\"><b>{}</b> <span class=\"t-{}\">{}</span></span></td>"
      "<td class=\"n\">{} … {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
      "<td class=\"n\">{}</td></tr>",
      code_name(row.node), html_escaped(row.type), bar_svg(percent, grade.kind, kMarks),
      human_db(row.snr_db), grade.kind, grade.word, human_number(row.minimum),
      human_number(row.maximum), html_escaped(human_percent(row.saturated_percent)),
      human_number(static_cast<double>(row.scale)), row.zero_point);
}

std::string tile(std::string_view label, std::string_view value, std::string_view note) {
  return fmt::format(
      "<div class=\"tile\"><dt>{}</dt><dd>{}<span class=\"muted\">{}</span></dd></div>",
      html_escaped(label), html_escaped(value), html_escaped(note));
}

std::string percentile_row(std::string_view name, const std::array<double, 3>& times_us,
                           double most_us) {
  std::string row = fmt::format("<tr><th scope=\"row\">{}</th>", name);
  for (const double time_us : times_us) {
    const double percent = most_us > 0 ? time_us / most_us * 100 : 0;
    fmt::format_to(std::back_inserter(row),
                   "<td class=\"chart\">{}<span class=\"under\"><b>{}</b></span></td>",
                   bar_svg(percent, "time"), human_time_us(time_us));
  }
  return row + "</tr>";
}

std::string latency_html(const Latency& latency) {
  const std::array core = {latency.core_us_p50, latency.core_us_p95, latency.core_us_p99};
  const std::array whole = {latency.end_to_end_us_p50, latency.end_to_end_us_p95,
                            latency.end_to_end_us_p99};
  double most_us = 0;
  for (const double time_us : core) most_us = std::max(most_us, time_us);
  for (const double time_us : whole) most_us = std::max(most_us, time_us);
  const double rate = latency.windows_per_second;
  std::string html = "<dl class=\"tiles\">";
  html += tile("Core, p95", human_time_us(latency.core_us_p95), "95 of 100 windows are faster");
  html += tile("End to end, p95", human_time_us(latency.end_to_end_us_p95),
               "from raw window to answer");
  html += tile("Windows per second",
               std::isfinite(rate) && rate >= 0 && rate < 9e15
                   ? rate < 100   ? fmt::format("{:.1f}", rate)
                     : rate < 1e6 ? fmt::format("{:.0f}", rate)
                                  : human_count(std::llround(rate))
                   : std::string(kNothing),
               "");
  html += "</dl>\n";
  if (!latency.isa.empty() || !latency.machine.empty()) {
    fmt::format_to(std::back_inserter(html), "<p class=\"intro\">Measured on {}{}{}.</p>\n",
                   html_escaped(latency.machine.empty() ? "this machine" : latency.machine),
                   latency.isa.empty() ? "" : ", kernels for ", html_escaped(latency.isa));
  }
  Table table{
      .caption = "Latency percentiles",
      .kind = "percentiles",
      .columns = {{"Latency"}, {"p50"}, {"p95"}, {"p99"}},
      .rows = {percentile_row("Core", core, most_us), percentile_row("End to end", whole, most_us)},
      .foot = ""};
  return html + table_html(table);
}

std::string steps_html(const std::vector<StepRow>& steps) {
  if (steps.empty()) return "";
  double total_us = 0, most_us = 0;
  int64_t macs = 0;
  for (const StepRow& step : steps) {
    const double time_us = std::isfinite(step.time_us) ? std::max(step.time_us, 0.0) : 0;
    total_us += time_us;
    most_us = std::max(most_us, time_us);
    if (step.macs > 0 && macs <= INT64_MAX - step.macs) macs += step.macs;
  }
  Table table{
      .caption = "Time per step of the plan",
      .kind = "steps",
      .columns =
          {{"#", true}, {"Step"}, {"Time"}, {"Part"}, {"Kernel"}, {"MACs", true}, {"Bytes", true}},
      .rows = {},
      .foot = ""};
  for (size_t i = 0; i < steps.size(); ++i) {
    const StepRow& step = steps[i];
    const bool timed = std::isfinite(step.time_us) && step.time_us > 0;
    const bool is_device = step.part == "device";
    table.rows.push_back(fmt::format(
        "<tr><td class=\"n muted\">{}</td><th scope=\"row\">{}</th>"
        "<td class=\"chart\">{}<span class=\"under\"><b>{}</b>{}</span></td>"
        "<td><span class=\"part {}\">{}</span></td><td>{}</td>"
        "<td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
        i + 1, code_name(step.node),
        bar_svg(timed ? step.time_us / most_us * 100 : 0, is_device ? "device" : "host"),
        timed ? human_time_us(step.time_us) : std::string(kNothing),
        timed ? fmt::format(" <span class=\"muted\">{}</span>",
                            html_escaped(human_percent(step.time_us / total_us * 100)))
              : "",
        is_device ? "device" : "host", html_escaped(step.part), code_name(step.kernel),
        step.macs == 0 ? std::string(kNothing) : human_count(step.macs), human_bytes(step.bytes)));
  }
  table.foot = fmt::format(
      "<tr><td></td><th scope=\"row\">All {}</th><td><b>{}</b></td><td></td><td></td>"
      "<td class=\"n\">{}</td><td></td></tr>",
      counted(steps.size(), "step"), total_us > 0 ? human_time_us(total_us) : std::string(kNothing),
      human_count(macs));
  return "<h3>Step by step</h3>\n" + table_html(table);
}

}  // namespace

std::string noise_section(const Report& report) {
  if (report.noise.empty()) return "";
  std::vector<const NoiseRow*> sorted;
  for (const NoiseRow& row : report.noise) sorted.push_back(&row);
  std::stable_sort(sorted.begin(), sorted.end(), [](const NoiseRow* a, const NoiseRow* b) {
    return noise_key(*a) < noise_key(*b);
  });
  Table table{.caption = "Quantisation noise per layer, worst first",
              .kind = "noise",
              .columns = {{"Layer"},
                          {"Signal to noise"},
                          {"Range", true},
                          {"Saturated", true},
                          {"Scale", true},
                          {"Zero point", true}},
              .rows = {},
              .foot = ""};
  for (const NoiseRow* row : sorted) table.rows.push_back(noise_row(*row));
  return section("noise", "Quantisation noise",
                 "INT8 against float, worst layer first. The lines stand at 10 dB (below: poor) "
                 "and 20 dB (below: weak); the bar is full at 50 dB.",
                 table_html(table) + sensitivity_html(report) +
                     finding_cards(report.quantization_findings) + tries_html(report));
}

std::string latency_section(const Report& report) {
  const std::string latency = report.latency ? latency_html(*report.latency) : "";
  return section("latency", "Latency", "", latency + steps_html(report.steps));
}

std::string sizes_section(const Report& report) {
  if (report.sizes.empty()) return "";
  int64_t most = 0;
  for (const SizeRow& row : report.sizes) most = std::max(most, row.size_bytes);
  Table table{.caption = "Sizes",
              .kind = "sizes",
              .columns = {{"What"}, {"Size"}, {"Note"}},
              .rows = {},
              .foot = ""};
  for (const SizeRow& row : report.sizes) {
    const double percent =
        most > 0 ? static_cast<double>(row.size_bytes) / static_cast<double>(most) * 100 : 0;
    table.rows.push_back(fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"chart\">{}<span class=\"under\"><b>{}</b></span>"
        "</td><td>{}</td></tr>",
        code_name(row.name), bar_svg(percent, "size"), human_bytes(row.size_bytes),
        html_escaped(row.note)));
  }
  return section("sizes", "Sizes", "", table_html(table));
}

std::string passes_section(const Report& report) {
  if (report.passes.empty()) return "";
  int64_t edits = 0;
  double time_ms = 0;
  Table table{.caption = "Passes of the simplifier",
              .kind = "passes",
              .columns = {{"Pass"}, {"Edits", true}, {"Time", true}},
              .rows = {},
              .foot = ""};
  for (const PassRow& row : report.passes) {
    if (row.edits > 0 && edits <= INT64_MAX - row.edits) edits += row.edits;
    time_ms += row.time_ms;
    table.rows.push_back(fmt::format(
        "<tr{}><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
        row.edits == 0 ? " class=\"idle\"" : "", code_name(row.pass), row.edits,
        human_time_us(row.time_ms * 1e3)));
  }
  table.foot = fmt::format(
      "<tr><th scope=\"row\">All {}</th><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
      report.passes.size() == 1 ? "1 pass" : fmt::format("{} passes", report.passes.size()), edits,
      human_time_us(time_ms * 1e3));
  return section("simplifier", "Simplifier", "What each pass changed, and how long it took.",
                 table_html(table));
}

}  // namespace graupel::report
