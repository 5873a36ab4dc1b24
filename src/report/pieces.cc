// The building blocks of the page: names, bars, pills, tables, sections. See parts.h.
// Test: report_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {
namespace {

// The chart is drawn in thousandths of the width so that coordinates are whole numbers.
int thousandths(double percent) {
  if (!(percent > 0)) return 0;
  return static_cast<int>(std::lround(std::min(percent, 100.0) * 10));
}

std::string head_row(const std::vector<Column>& columns) {
  std::string row = "<tr>";
  for (const Column& column : columns) {
    fmt::format_to(std::back_inserter(row), "<th scope=\"col\"{}>{}</th>",
                   column.number ? " class=\"n\"" : "", html_escaped(column.title));
  }
  return row + "</tr>";
}

std::string scroller(const Table& table, size_t first, size_t last, bool with_foot) {
  std::string html = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">"
      "<table class=\"{1}\"><caption class=\"hidden\">{0}</caption>\n<thead>{2}</thead>\n<tbody>\n",
      html_escaped(table.caption), table.kind, head_row(table.columns));
  for (size_t i = first; i < last; ++i) html += table.rows[i] + "\n";
  html += "</tbody>\n";
  if (with_foot && !table.foot.empty()) html += "<tfoot>" + table.foot + "</tfoot>\n";
  return html + "</table></div>\n";
}

}  // namespace

std::string code_name(std::string_view name) {
  std::string code = "<code>";
  size_t run = 0;  // characters since the last place to break
  for (const char c : html_escaped(name)) {
    code += c;
    ++run;
    const bool separator = c == '/' || c == '.' || c == ':' || (c == '_' && run > 8);
    if (!separator) continue;
    code += "<wbr>";
    run = 0;
  }
  return code + "</code>";
}

std::string bar_svg(double percent, std::string_view kind, std::span<const double> marks) {
  std::string svg = fmt::format(
      "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
      "aria-hidden=\"true\">"
      "<rect class=\"track\" width=\"1000\" height=\"10\"/>"
      "<rect class=\"fill {}\" width=\"{}\" height=\"10\"/>",
      kind, thousandths(percent));
  for (const double mark : marks) {
    fmt::format_to(std::back_inserter(svg), "<path class=\"mark\" d=\"M{} 0V10\"/>",
                   thousandths(mark));
  }
  return svg + "</svg>";
}

std::string pill(std::string_view kind, std::string_view icon, std::string_view word) {
  return fmt::format("<span class=\"pill {}\"><span aria-hidden=\"true\">{}</span> {}</span>", kind,
                     icon, html_escaped(word));
}

std::string table_html(const Table& table, size_t visible) {
  const size_t rows = table.rows.size();
  // Folding away a handful of rows hides more than it helps.
  if (rows <= visible + visible / 4) return scroller(table, 0, rows, true);
  std::string html = scroller(table, 0, visible, true);
  fmt::format_to(std::back_inserter(html), "<details><summary>{} more of {}</summary>\n",
                 rows - visible, rows);
  return html + scroller(table, visible, rows, false) + "</details>\n";
}

std::string section(std::string_view id, std::string_view title, std::string_view intro,
                    std::string_view body) {
  if (body.empty()) return "";
  std::string html =
      fmt::format("<section id=\"{0}\" aria-labelledby=\"{0}-h\"><h2 id=\"{0}-h\">{1}</h2>\n", id,
                  html_escaped(title));
  if (!intro.empty()) html += fmt::format("<p class=\"intro\">{}</p>\n", html_escaped(intro));
  return html + std::string(body) + "</section>\n";
}

}  // namespace graupel::report
