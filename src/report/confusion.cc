// The confusion matrix as a heat table; the frequent confusions as a list when there are too many
// classes for a table. Test: report_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {
namespace {

constexpr size_t kMostClassesInTable = 40;
constexpr size_t kListedConfusions = 20;
constexpr int kHeatSteps = 10;

size_t class_count(const Confusion& confusion) {
  size_t count = std::max(confusion.labels.size(), confusion.counts.size());
  for (const std::vector<int64_t>& row : confusion.counts) count = std::max(count, row.size());
  return count;
}

std::string label_of(const Confusion& confusion, size_t index) {
  const bool named = index < confusion.labels.size() && !confusion.labels[index].empty();
  return html_escaped(named ? confusion.labels[index] : fmt::format("{}", index));
}

int64_t count_at(const Confusion& confusion, size_t truth, size_t predicted) {
  if (truth >= confusion.counts.size() || predicted >= confusion.counts[truth].size()) return 0;
  return std::max<int64_t>(confusion.counts[truth][predicted], 0);
}

double row_total(const Confusion& confusion, size_t truth) {
  double total = 0;
  if (truth >= confusion.counts.size()) return 0;
  for (const int64_t count : confusion.counts[truth]) {
    total += static_cast<double>(std::max<int64_t>(count, 0));
  }
  return total;
}

std::string matrix_row(const Confusion& confusion, size_t truth, size_t classes) {
  const double total = row_total(confusion, truth);
  std::string row = fmt::format("<tr><th scope=\"row\">{}</th>", label_of(confusion, truth));
  for (size_t predicted = 0; predicted < classes; ++predicted) {
    const int64_t count = count_at(confusion, truth, predicted);
    const double share = total > 0 ? static_cast<double>(count) / total : 0;
    // Any count at all is visible: the lowest step is for zero only.
    const int step =
        count == 0 ? 0 : std::max(1, static_cast<int>(std::lround(share * kHeatSteps)));
    fmt::format_to(std::back_inserter(row), "<td class=\"{}{}\">{}</td>",
                   predicted == truth ? "right h" : "wrong h", step,
                   count == 0 ? "<span class=\"zero\">·</span>" : fmt::format("{}", count));
  }
  const double hits = static_cast<double>(count_at(confusion, truth, truth));
  fmt::format_to(
      std::back_inserter(row), "<td class=\"n recall\">{}</td></tr>",
      total > 0 ? html_escaped(human_percent(hits / total * 100)) : std::string(kNothing));
  return row;
}

std::string matrix_html(const Confusion& confusion, size_t classes) {
  std::string html =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix\">"
      "<table class=\"confusion\"><caption class=\"hidden\">Confusion matrix: rows are the truth, "
      "columns the prediction</caption>\n<thead><tr><th scope=\"col\" class=\"corner\">truth ↓ "
      "&nbsp;predicted →</th>";
  for (size_t i = 0; i < classes; ++i) {
    html += "<th scope=\"col\" class=\"turned\"><span>" + label_of(confusion, i) + "</span></th>";
  }
  html += "<th scope=\"col\" class=\"n\">Recall</th></tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < classes; ++i) html += matrix_row(confusion, i, classes) + "\n";
  return html + "</tbody></table></div>\n";
}

struct Mistake {
  int64_t count;
  size_t truth, predicted;
};

std::string list_html(const Confusion& confusion, size_t classes) {
  std::vector<Mistake> mistakes;
  for (size_t truth = 0; truth < confusion.counts.size(); ++truth) {
    for (size_t predicted = 0; predicted < confusion.counts[truth].size(); ++predicted) {
      const int64_t count = count_at(confusion, truth, predicted);
      if (truth != predicted && count > 0) mistakes.push_back({count, truth, predicted});
    }
  }
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.count > b.count; });
  if (mistakes.size() > kListedConfusions) mistakes.resize(kListedConfusions);
  Table table{.caption = "Most frequent confusions",
              .kind = "mistakes",
              .columns = {{"Truth"}, {"Predicted"}, {"Windows", true}},
              .rows = {},
              .foot = ""};
  for (const Mistake& mistake : mistakes) {
    table.rows.push_back(fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{}</td></tr>",
        label_of(confusion, mistake.truth), label_of(confusion, mistake.predicted), mistake.count));
  }
  return fmt::format("<p>{} classes: the most frequent confusions are listed.</p>\n", classes) +
         (mistakes.empty() ? "<p>There were none.</p>\n" : table_html(table));
}

}  // namespace

std::string confusion_section(const Report& report) {
  if (!report.confusion) return "";
  const Confusion& confusion = *report.confusion;
  const size_t classes = class_count(confusion);
  if (classes == 0) return "";
  std::string body = fmt::format(
      "<p class=\"scores\"><span>Accuracy <b>{}</b></span> <span>Macro F1 <b>{}</b></span></p>\n",
      html_escaped(human_percent(confusion.accuracy * 100)),
      std::isfinite(confusion.macro_f1) ? fmt::format("{:.3f}", confusion.macro_f1)
                                        : std::string(kNothing));
  body += classes <= kMostClassesInTable ? matrix_html(confusion, classes)
                                         : list_html(confusion, classes);
  return section(
      "confusion", confusion.title.empty() ? "Confusion matrix" : confusion.title,
      "Rows are the truth, columns what was predicted; the shade is the share of the row.", body);
}

}  // namespace graupel::report
