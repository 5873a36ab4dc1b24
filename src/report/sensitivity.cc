// Which layers the answers depend on, and what the optimiser tried. See parts.h.
// Test: report_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {

std::string sensitivity_html(const Report& report) {
  if (report.sensitivity.empty()) return "";
  double most = 0;
  for (const SensitivityRow& row : report.sensitivity) most = std::max(most, row.divergence_nats);
  Table table{.caption = "Layers by what each alone does to the answers",
              .kind = "noise",
              .columns = {{"Layer"}, {"Divergence of the answers"}, {"At the outputs", true}},
              .rows = {},
              .foot = ""};
  for (const SensitivityRow& row : report.sensitivity) {
    const double percent = most > 0 ? row.divergence_nats / most * 100 : 0;
    table.rows.push_back(fmt::format(
        "<tr><th scope=\"row\">{} <span class=\"muted\">{}</span></th><td class=\"chart\">{}"
        "<span class=\"under\"><b>{} nats</b></span></td><td class=\"n\">{}</td></tr>",
        code_name(row.node), html_escaped(row.type), bar_svg(percent, "time"),
        human_number(row.divergence_nats), human_db(row.output_snr_db)));
  }
  return "<h3>Sensitivity: one layer quantised at a time</h3>\n" + table_html(table);
}

std::string tries_html(const Report& report) {
  if (report.tries.empty()) return "";
  Table table{.caption = "What the optimiser tried",
              .kind = "tries",
              .columns = {{"Step"}, {"Before", true}, {"After", true}, {"t", true}, {"Outcome"}},
              .rows = {},
              .foot = ""};
  for (const TryRow& row : report.tries) {
    const std::string cost = row.cost.empty() ? "" : "; costs " + row.cost;
    const std::string t =
        std::isfinite(row.gain_in_errors) ? fmt::format("{:.1f}", row.gain_in_errors) : "—";
    table.rows.push_back(
        fmt::format("<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>"
                    "<td class=\"n\">{}</td><td>{}{}</td></tr>",
                    html_escaped(row.what), human_db(row.before_db), human_db(row.after_db), t,
                    row.kept ? "kept" : "undone", html_escaped(cost)));
  }
  return "<h3>What was tried</h3>\n<p class=\"intro\">Signal to noise at the outputs, on "
         "calibration windows held out of the choice; t: the mean gain over its standard error.</p>"
         "\n" +
         table_html(table);
}

}  // namespace graupel::report
