// The page itself: head, verdict, bars, what was not checked, the cut, provenance; the other
// sections in the order a reader needs them. See report.h. Test: report_test.cc.
#include <fmt/format.h>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {
namespace {

// Nothing may be loaded and nothing may run, even if a hostile name were to get through.
constexpr std::string_view kContentPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

constexpr std::string_view kMark =
    "<svg class=\"logo\" viewBox=\"0 0 32 32\" aria-hidden=\"true\">"
    "<circle cx=\"11\" cy=\"12\" r=\"8\"/><circle cx=\"23\" cy=\"19\" r=\"6\"/>"
    "<circle cx=\"12\" cy=\"26\" r=\"4\"/></svg>";

struct StatusLook {
  std::string_view kind, icon, word;
};
StatusLook look_of(Status status) {
  switch (status) {
    case Status::kPass: return {"good", "✓", "pass"};
    case Status::kFail: return {"bad", "✕", "fail"};
    case Status::kNotMeasured: return {"none", "–", "not measured"};
    case Status::kInfo: return {"info", "i", "info"};
  }
  return {"none", "–", "not measured"};
}

std::string head(const Report& report) {
  const std::string title = report.title.empty() ? "graupel report" : report.title;
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"generator\" content=\"graupel\">\n<title>{}</title>\n<style>\n{}</style>\n"
      "</head>\n<body>\n",
      kContentPolicy, html_escaped(title), page_style());
}

std::string masthead(const Report& report) {
  std::string html = fmt::format(
      "<header>\n<p class=\"brand\">{}graupel <span class=\"muted\">deployment report</span></p>\n"
      "<h1>{}</h1>\n",
      kMark, html_escaped(report.title.empty() ? "Report" : report.title));
  if (!report.summary_sentence.empty()) {
    html += "<p class=\"lead\">" + html_escaped(report.summary_sentence) + "</p>\n";
  }
  std::string facts;
  if (!report.model.empty())
    facts += "<div><dt>Model</dt><dd>" + code_name(report.model) + "</dd></div>";
  if (!report.target.empty()) {
    facts += "<div><dt>Target</dt><dd>" + code_name(report.target) + "</dd></div>";
  }
  if (!facts.empty()) html += "<dl class=\"model\">" + facts + "</dl>\n";
  return html + "</header>\n";
}

std::string verdict_banner(const Report& report) {
  if (report.bars.empty()) return "";
  const Verdict verdict = judge(report.bars);
  const bool nothing = verdict.passed + verdict.failed == 0;
  const std::string_view kind = verdict.failed > 0 ? "bad" : nothing ? "none" : "good";
  const std::string_view icon = verdict.failed > 0 ? "✕" : nothing ? "–" : "✓";
  return fmt::format(
      "<div class=\"verdict {}\" role=\"status\"><span class=\"sign\" "
      "aria-hidden=\"true\">{}</span>"
      "<p>{}</p></div>\n",
      kind, icon, html_escaped(verdict.sentence + "."));
}

std::string bars_section(const Report& report) {
  if (report.bars.empty()) return "";
  // Roles are spelled out because the phone layout turns rows into blocks, which would
  // otherwise take the table's meaning away from screen readers.
  std::string html =
      "<table class=\"bars\" role=\"table\"><caption class=\"hidden\">Bars and what was measured"
      "</caption>\n<thead role=\"rowgroup\"><tr role=\"row\">"
      "<th scope=\"col\" role=\"columnheader\">Verdict</th>"
      "<th scope=\"col\" role=\"columnheader\">Bar</th>"
      "<th scope=\"col\" role=\"columnheader\">Measured</th>"
      "<th scope=\"col\" role=\"columnheader\">Limit</th></tr></thead>\n"
      "<tbody role=\"rowgroup\">\n";
  for (const Bar& bar : report.bars) {
    const StatusLook look = look_of(bar.status);
    const std::string detail =
        bar.detail.empty() ? "" : "<span class=\"detail\">" + html_escaped(bar.detail) + "</span>";
    fmt::format_to(std::back_inserter(html),
                   "<tr role=\"row\" class=\"r-{}\"><td role=\"cell\" class=\"v\">{}</td>"
                   "<th scope=\"row\" role=\"rowheader\">{}{}</th>"
                   "<td role=\"cell\" class=\"m\" data-label=\"measured\">{}</td>"
                   "<td role=\"cell\" class=\"l{}\" data-label=\"limit\">{}</td></tr>\n",
                   look.kind, pill(look.kind, look.icon, look.word),
                   html_escaped(bar.title.empty() ? bar.id : bar.title), detail,
                   bar.value.empty() ? std::string(kNothing) : html_escaped(bar.value),
                   bar.limit.empty() ? " empty" : "",
                   bar.limit.empty() ? std::string(kNothing) : html_escaped(bar.limit));
  }
  return section("bars", "Bars", "", html + "</tbody></table>\n");
}

std::string not_checked_box(const Report& report) {
  if (report.not_checked.empty()) return "";
  std::string html =
      "<section id=\"not-checked\" class=\"notice\" aria-labelledby=\"not-checked-h\">"
      "<h2 id=\"not-checked-h\">What was not checked</h2>\n<ul>\n";
  for (const std::string& line : report.not_checked)
    html += "<li>" + html_escaped(line) + "</li>\n";
  return html + "</ul></section>\n";
}

std::string cut_section(const Report& report) {
  std::string body;
  if (!report.cut_lines.empty()) {
    body += "<ul class=\"plain\">\n";
    for (const std::string& line : report.cut_lines)
      body += "<li>" + html_escaped(line) + "</li>\n";
    body += "</ul>\n";
  }
  if (!report.cut_svg.empty()) {
    body +=
        "<figure><div class=\"picture\" tabindex=\"0\" role=\"region\" "
        "aria-label=\"Picture of the network and its cut; scrolls\">\n" +
        report.cut_svg + "</div></figure>\n";
  }
  return section("cut", "The network and its cut", "", body);
}

std::string facts_section(const Report& report) {
  if (report.facts.empty()) return "";
  std::string body = "<dl class=\"facts\">\n";
  for (const auto& [name, value] : report.facts) {
    fmt::format_to(std::back_inserter(body), "<div><dt>{}</dt><dd>{}</dd></div>\n",
                   html_escaped(name), code_name(value));
  }
  return section("provenance", "Provenance", "What this report was made from.", body + "</dl>\n");
}

struct Part {
  std::string_view id, title;
  std::string html;
};

std::string contents(const std::vector<Part>& parts) {
  std::string html = "<nav aria-label=\"Contents\"><ul>";
  for (const Part& part : parts) {
    if (part.html.empty() || part.title.empty()) continue;
    fmt::format_to(std::back_inserter(html), "<li><a href=\"#{}\">{}</a></li>", part.id,
                   part.title);
  }
  return html + "</ul></nav>\n";
}

}  // namespace

std::string render_html(const Report& report) {
  const std::string findings_id = report.findings.empty() ? "calibration-findings" : "findings";
  const std::vector<Part> parts = {
      {"bars", "Bars", bars_section(report)},
      {"not-checked", "Not checked", not_checked_box(report)},
      {"numbers", "Numbers", listings_section(report)},
      {"cut", "Cut", cut_section(report)},
      {findings_id, "Findings", findings_section(report)},
      {"noise", "Noise", noise_section(report)},
      {"latency", "Latency", latency_section(report)},
      {"sizes", "Sizes", sizes_section(report)},
      {"confusion", "Confusion", confusion_section(report)},
      {"simplifier", "Simplifier", passes_section(report)},
      {"provenance", "Provenance", facts_section(report)},
  };
  size_t filled = 0;
  for (const Part& part : parts) filled += part.html.empty() ? 0 : 1;
  std::string html = head(report) + masthead(report) + verdict_banner(report);
  if (filled > 2) html += contents(parts);
  html += "<main>\n";
  for (const Part& part : parts) html += part.html;
  return html +
         "</main>\n<footer><p>Made by graupel. This page is complete in itself: it loads "
         "nothing and runs nothing.</p></footer>\n</body>\n</html>\n";
}

}  // namespace graupel::report
