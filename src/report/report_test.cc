// Tests of the report page: well-formed, complete, safe against hostile names, bounded.
#include "report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "report/parts.h"
#include "report/report_sample.h"

namespace graupel::report {
namespace {

using testing::HasSubstr;
using testing::Not;

// "" if every tag is closed in order, attributes are quoted and no id appears twice; else what is
// wrong. Knows just the HTML this room writes: no comments, no unquoted attributes.
std::string first_fault(std::string_view html) {
  static const std::set<std::string> kVoid = {"meta", "wbr"};
  std::vector<std::string> open;
  std::set<std::string> ids;
  for (size_t i = 0; i < html.size(); ++i) {
    if (html[i] == '>') return "stray > at " + std::to_string(i);
    if (html[i] != '<') continue;
    size_t end = i + 1;
    for (bool quoted = false; end < html.size() && (quoted || html[end] != '>'); ++end) {
      if (html[end] == '"') quoted = !quoted;
      if (html[end] == '<') return "< inside a tag at " + std::to_string(end);
    }
    if (end == html.size()) return "unclosed tag at " + std::to_string(i);
    const std::string tag(html.substr(i + 1, end - i - 1));
    i = end;
    if (tag.starts_with("!DOCTYPE")) continue;
    const bool closing = tag.starts_with("/");
    const std::string name = tag.substr(closing, tag.find_first_of(" /", 1) - closing);
    if (closing) {
      if (open.empty() || open.back() != name) return "unexpected </" + name + ">";
      open.pop_back();
      continue;
    }
    if (const size_t at = tag.find(" id=\""); at != std::string::npos) {
      const std::string id = tag.substr(at + 5, tag.find('"', at + 5) - at - 5);
      if (!ids.insert(id).second) return "id twice: " + id;
    }
    if (name == "style") {  // its text is CSS, where > may stand
      i = html.find("</style>", i);
      if (i == std::string_view::npos) return "unclosed style";
      i += 7;
      continue;
    }
    if (!kVoid.contains(name) && !tag.ends_with("/")) open.push_back(name);
  }
  return open.empty() ? "" : "never closed: " + open.back();
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(FirstFault, FindsFaults) {
  EXPECT_EQ(first_fault("<!DOCTYPE html><p a=\"b>\">x<wbr></p><rect/>"), "");
  EXPECT_NE(first_fault("<p>"), "");
  EXPECT_NE(first_fault("<p><b></p></b>"), "");
  EXPECT_NE(first_fault("<p a=\"<\"></p>"), "");
  EXPECT_NE(first_fault("a > b"), "");
  EXPECT_NE(first_fault("<p id=\"a\"></p><p id=\"a\"></p>"), "");
}

TEST(Page, IsWellFormedAndComplete) {
  const std::string html = render_html(sample_report());
  EXPECT_EQ(first_fault(html), "");
  size_t last = 0;
  for (const char* id : {"bars", "not-checked", "cut", "findings", "calibration-findings", "noise",
                         "latency", "sizes", "confusion", "simplifier", "provenance"}) {
    const size_t at = html.find("<section id=\"" + std::string(id) + "\"");
    ASSERT_NE(at, std::string::npos) << id;
    EXPECT_GT(at, last) << id << " is out of order";
    last = at;
  }
  EXPECT_THAT(html, HasSubstr("<html lang=\"en\">"));
  EXPECT_THAT(html, HasSubstr("1 of 10 bars missed: FSQ codes that change; 1 not measured."));
  EXPECT_THAT(html, HasSubstr("<svg class=\"graupel-cut\""));
  EXPECT_EQ(render_html(sample_report()), html);
}

TEST(Page, ShowsEveryLimitBesideWhatWasMeasured) {
  Report report;
  report.bars = {{"core_p95", "Core latency", "4.2 ms", "< 15 ms", Status::kPass, ""},
                 {"accuracy", "Accuracy", "", "", Status::kNotMeasured, ""}};
  const std::string html = render_html(report);
  EXPECT_THAT(html, HasSubstr("class=\"l\" data-label=\"limit\">&lt; 15 ms</td>"));
  EXPECT_THAT(html, HasSubstr("class=\"l empty\" data-label=\"limit\">"));
}

TEST(Page, EveryContentsLinkHasItsTarget) {
  Report report = sample_report();
  for (const bool check_findings : {true, false}) {
    if (!check_findings) report.findings.clear();
    const std::string html = render_html(report);
    size_t links = 0;
    for (size_t at = html.find("href=\"#"); at != std::string::npos;
         at = html.find("href=\"#", at + 1)) {
      const std::string id = html.substr(at + 7, html.find('"', at + 7) - at - 7);
      EXPECT_THAT(html, HasSubstr(" id=\"" + id + "\"")) << id;
      ++links;
    }
    EXPECT_EQ(links, 10u);
  }
}

TEST(Page, LoadsAndRunsNothing) {
  const std::string html = render_html(sample_report());
  for (const char* word : {"<script", "src=", "http://", "https://", "url(", "@import", "<link",
                           "javascript:", "onclick", "onload", "style=\""}) {
    EXPECT_THAT(html, Not(HasSubstr(word)));
  }
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST(Page, EmptyReportIsAPage) {
  const std::string html = render_html({});
  EXPECT_EQ(first_fault(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<section")));
  EXPECT_THAT(html, Not(HasSubstr("class=\"verdict ")));
  EXPECT_THAT(html, Not(HasSubstr("<nav")));
}

TEST(Page, EachPartAloneIsWellFormed) {
  const Report full = sample_report();
  std::vector<Report> parts(11);
  parts[0].bars = full.bars;
  parts[1].cut_svg = full.cut_svg;
  parts[2].cut_lines = full.cut_lines;
  parts[3].findings = full.findings;
  parts[4].calibration_findings = full.calibration_findings;
  parts[5].noise = full.noise;
  parts[6].latency = full.latency;
  parts[7].steps = full.steps;
  parts[8].sizes = full.sizes;
  parts[9].confusion = full.confusion;
  parts[10].not_checked = full.not_checked;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string html = render_html(parts[i]);
    EXPECT_EQ(first_fault(html), "") << i;
    EXPECT_EQ(occurrences(html, "<section"), 1u) << i;
  }
}

// Every string of a report, one after the other.
template <class Visit>
void for_each_string(Report& report, const Visit& visit) {
  for (std::string* text :
       {&report.title, &report.model, &report.target, &report.summary_sentence}) {
    visit(*text);
  }
  for (auto& [name, value] : report.facts) visit(name), visit(value);
  for (Bar& bar : report.bars) {
    visit(bar.id), visit(bar.title), visit(bar.value), visit(bar.limit), visit(bar.detail);
  }
  for (std::string& line : report.cut_lines) visit(line);
  for (std::string& line : report.not_checked) visit(line);
  for (std::vector<FindingRow>* rows : {&report.findings, &report.calibration_findings}) {
    for (FindingRow& row : *rows) {
      visit(row.severity), visit(row.rule), visit(row.subject);
      visit(row.message), visit(row.fix), visit(row.source);
    }
  }
  for (NoiseRow& row : report.noise) visit(row.node), visit(row.type);
  for (StepRow& row : report.steps) visit(row.node), visit(row.part), visit(row.kernel);
  for (SizeRow& row : report.sizes) visit(row.name), visit(row.note);
  for (PassRow& row : report.passes) visit(row.pass);
  visit(report.latency->isa), visit(report.latency->machine);
  visit(report.confusion->title);
  for (std::string& label : report.confusion->labels) visit(label);
}

TEST(Page, HostileStringsStayText) {
  const std::string hostile =
      "\"><script>alert('1')</script><img src=x onerror=1>\x01\x1b[2J\xff\xc3\n</style></td>&";
  Report report = sample_report();
  size_t strings = 0;
  for_each_string(report, [&](std::string& text) {
    text = hostile;
    ++strings;
  });
  EXPECT_GT(strings, 150u);
  const std::string html = render_html(report);
  EXPECT_EQ(first_fault(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;1&#39;)"));
  // The page's own line feeds are the only control characters, and the UTF-8 is valid.
  for (const char c : html) ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  std::string without_feeds = html;
  std::erase(without_feeds, '\n');
  EXPECT_EQ(clean_utf8(without_feeds), without_feeds);
}

TEST(Page, OddNumbersAreShownInWords) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double nan = std::nan("");
  Report report = sample_report();
  report.noise = {{"a", "Conv", kInfinity, 0, 1, 0, 1, 0},
                  {"b", "Conv", nan, nan, -kInfinity, nan, 0, 0},
                  {"c", "Conv", -kInfinity, 0, 0, 0, 0, 0}};
  report.latency = Latency{nan, kInfinity, -1, 0, 1e300, 5, nan, "", ""};
  report.steps = {{"x", "device", "k", nan, -1, -1},
                  {"y", "host", "k", kInfinity, INT64_MAX, INT64_MAX},
                  {"z", "host", "k", 0, INT64_MAX, 0}};
  report.sizes = {{"s", -5, ""}, {"t", INT64_MAX, ""}};
  report.passes = {{"p", INT64_MAX, nan}, {"q", INT64_MAX, -1}};
  report.confusion->accuracy = nan;
  report.confusion->macro_f1 = nan;
  const std::string html = render_html(report);
  EXPECT_EQ(first_fault(html), "");
  EXPECT_THAT(html, HasSubstr("<b>exact</b>"));
  EXPECT_THAT(html, HasSubstr("<b>unknown</b>"));
  EXPECT_THAT(html, Not(HasSubstr(">nan")));
  EXPECT_THAT(html, Not(HasSubstr(">inf")));
}

TEST(Page, NoiseIsWorstFirst) {
  const std::string html = render_html(sample_report());
  const std::string noise = html.substr(html.find("id=\"noise\""));
  EXPECT_LT(noise.find("8.9 dB"), noise.find("17.8 dB"));
  EXPECT_LT(noise.find("17.8 dB"), noise.find("24.6 dB"));
  EXPECT_LT(noise.find("41.7 dB"), noise.find("exact"));
  EXPECT_THAT(noise, HasSubstr("<span class=\"t-bad\">poor</span>"));
  EXPECT_THAT(noise, HasSubstr("<span class=\"t-warn\">weak</span>"));
}

TEST(Page, FindingsOfOneRuleShareACard) {
  Report report;
  for (int i = 0; i < 40; ++i) {
    report.findings.push_back(
        {"warning", "odd-channels", "/conv" + std::to_string(i), "Odd.", "Pad.", ""});
  }
  report.findings.push_back({"error", "unknown-op", "/x", "Unknown.", "Remove it.", ""});
  report.findings.push_back({"fatal", "other", "/y", "?", "", ""});
  const std::string html = render_html(report);
  EXPECT_EQ(first_fault(html), "");
  EXPECT_EQ(occurrences(html, "<article"), 3u);
  EXPECT_THAT(html, HasSubstr("</span> 40 warnings</span>"));
  EXPECT_THAT(html, HasSubstr("</span> 1 error</span>"));
  EXPECT_THAT(html, HasSubstr("<summary>28 more</summary>"));
  for (int i = 0; i < 40; ++i) EXPECT_THAT(html, HasSubstr("conv" + std::to_string(i) + "<"));
  EXPECT_LT(html.find("1 error"), html.find("40 warnings"));
  EXPECT_LT(html.find("40 warnings"), html.find("1 × fatal"));
}

TEST(Page, ThousandsOfRows) {
  Report report = sample_report();
  for (int i = 0; i < 2000; ++i) {
    const std::string name = "/block" + std::to_string(i) + "/Conv";
    report.noise.push_back({name, "Conv", i * 0.02, -1, 1, 0, 0.1F, 0});
    report.steps.push_back({name, "device", "conv", 10, 1000, 1000});
    report.findings.push_back({"info", "rule", name, "Message " + std::to_string(i), "", ""});
    report.bars.push_back({"b", "Bar " + std::to_string(i), "1", "< 2", Status::kPass, ""});
  }
  const std::string html = render_html(report);
  EXPECT_EQ(first_fault(html), "");
  EXPECT_LT(html.size(), 6u << 20);
  EXPECT_THAT(html, HasSubstr("<summary>1967 more of 2007</summary>"));
  EXPECT_THAT(html, HasSubstr("/<wbr>block1999/<wbr>Conv"));
}

TEST(Page, ConfusionOfManyClassesIsAList) {
  Report report;
  Confusion confusion;
  confusion.counts.assign(1000, std::vector<int64_t>(1000, 0));
  confusion.counts[17][903] = 44;
  confusion.counts[5][6] = 45;
  confusion.counts[1] = {};  // short rows count as zeros
  report.confusion = confusion;
  const std::string html = render_html(report);
  EXPECT_EQ(first_fault(html), "");
  EXPECT_LT(html.size(), 40u << 10);
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">17</th><td>903</td><td class=\"n\">44</td>"));
  EXPECT_LT(html.find(">45<"), html.find(">44<"));
}

TEST(Page, RaggedConfusionIsSquare) {
  Report report;
  report.confusion = Confusion{"", {"a"}, {{1, 2, 3}, {}, {4}}, 0.5, 0.5};
  const std::string html = render_html(report);
  EXPECT_EQ(first_fault(html), "");
  EXPECT_EQ(occurrences(html, "<td class=\"right "), 3u);
  EXPECT_EQ(occurrences(html, "<td class=\"wrong "), 6u);
}

TEST(Format, Times) {
  EXPECT_EQ(human_time_us(0), "0 µs");
  EXPECT_EQ(human_time_us(0.0125), "12.5 ns");
  EXPECT_EQ(human_time_us(4.2), "4.20 µs");
  EXPECT_EQ(human_time_us(999.6), "1.00 ms");
  EXPECT_EQ(human_time_us(15000), "15.0 ms");
  EXPECT_EQ(human_time_us(2.5e6), "2.50 s");
  EXPECT_EQ(human_time_us(7.2e9), "7200 s");
  EXPECT_EQ(human_time_us(-1), "–");
}

TEST(Format, BytesAndCounts) {
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(human_bytes(INT64_MAX), "8.0 EiB");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1250), "1.25 k");
  EXPECT_EQ(human_count(999999), "1.00 M");
  EXPECT_EQ(human_count(INT64_MAX), "9.22 E");
}

TEST(Format, DecibelsAndPercents) {
  EXPECT_EQ(human_db(41.66), "41.7 dB");
  EXPECT_EQ(human_db(std::numeric_limits<double>::infinity()), "exact");
  EXPECT_EQ(human_percent(0), "0 %");
  EXPECT_EQ(human_percent(0.004), "< 0.01 %");
  EXPECT_EQ(human_percent(99.26), "99.3 %");
}

TEST(Verdict, SaysItInWords) {
  const Bar pass{"", "p", "", "", Status::kPass, ""}, fail{"", "f", "", "", Status::kFail, ""},
      skipped{"", "n", "", "", Status::kNotMeasured, ""}, info{"", "i", "", "", Status::kInfo, ""};
  EXPECT_EQ(judge({}).sentence, "No bar was measured");
  EXPECT_EQ(judge({skipped, info}).sentence, "No bar was measured");
  EXPECT_EQ(judge({pass}).sentence, "The one bar is met");
  EXPECT_EQ(judge({pass, pass, info}).sentence, "All 2 bars met");
  EXPECT_EQ(judge({pass, pass, skipped}).sentence, "All 2 bars met; 1 not measured");
  EXPECT_EQ(judge({pass, fail, fail}).sentence, "2 of 3 bars missed: f, f");
}

}  // namespace
}  // namespace graupel::report
