// Findings of the check and of the calibration set, by severity, as cards.
//
// Idea: one rule often fires on many nodes; rows that differ only in their subject become one card
// with a list of subjects, so a page with a thousand rows can still be read. Test: report_test.cc.
#include <fmt/format.h>

#include <map>
#include <tuple>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {
namespace {

constexpr size_t kVisibleSubjects = 12;

struct Severity {
  std::string_view name, icon, noun;
};
constexpr Severity kSeverities[] = {
    {"error", "✕", "error"},
    {"warning", "!", "warning"},
    {"host", "⌂", "note on the host part"},
    {"info", "i", "note"},
};
constexpr size_t kKnown = std::size(kSeverities);

size_t rank_of(std::string_view severity) {
  for (size_t i = 0; i < kKnown; ++i) {
    if (kSeverities[i].name == severity) return i;
  }
  return kKnown;
}

std::string counted_severity(size_t rank, std::string_view name, size_t count) {
  if (rank == kKnown) return fmt::format("{} × {}", count, name);
  // "notes on the host part": the plural is not at the end.
  if (kSeverities[rank].name == "host") {
    return fmt::format("{} on the host part", counted(count, "note"));
  }
  return counted(count, kSeverities[rank].noun);
}

struct Card {
  const FindingRow* row = nullptr;
  std::vector<std::string_view> subjects;
};

std::string subject_list(const std::vector<std::string_view>& subjects) {
  std::string html;
  for (size_t i = 0; i < subjects.size(); ++i) {
    if (i == kVisibleSubjects && subjects.size() > kVisibleSubjects + 3) {
      fmt::format_to(std::back_inserter(html),
                     "</ul><details><summary>{} more</summary><ul class=\"subjects\">",
                     subjects.size() - i);
    }
    if (!subjects[i].empty()) html += "<li>" + code_name(subjects[i]) + "</li>";
  }
  if (html.empty()) return "";
  const bool folded = subjects.size() > kVisibleSubjects + 3;
  return "<ul class=\"subjects\">" + html + (folded ? "</ul></details>\n" : "</ul>\n");
}

std::string card_html(const Card& card, size_t rank) {
  const FindingRow& row = *card.row;
  std::string html = fmt::format("<article class=\"card sev-{}\"><h4>",
                                 rank < kKnown ? kSeverities[rank].name : "other");
  html += row.rule.empty() ? html_escaped(row.severity) : code_name(row.rule);
  if (card.subjects.size() > 1) {
    fmt::format_to(std::back_inserter(html), " <span class=\"muted\">× {}</span>",
                   card.subjects.size());
  }
  html += "</h4>\n" + subject_list(card.subjects);
  if (!row.message.empty()) html += "<p>" + html_escaped(row.message) + "</p>\n";
  if (!row.fix.empty()) {
    html += "<p class=\"fix\"><b>Fix</b> " + html_escaped(row.fix) + "</p>\n";
  }
  if (!row.source.empty()) {
    html += "<p class=\"source\">Source: " + html_escaped(row.source) + "</p>\n";
  }
  return html + "</article>\n";
}

// Cards by (rank, severity word), each group in order of first appearance.
std::string groups_html(const std::vector<FindingRow>& findings) {
  using Group = std::pair<size_t, std::string_view>;
  using CardKey =
      std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>;
  std::map<Group, std::vector<Card>> groups;
  std::map<std::pair<Group, CardKey>, size_t> known;
  for (const FindingRow& row : findings) {
    const Group group = {rank_of(row.severity), row.severity};
    std::vector<Card>& cards = groups[group];
    const CardKey key = {row.rule, row.message, row.fix, row.source};
    const auto [place, is_new] = known.try_emplace({group, key}, cards.size());
    if (is_new) cards.push_back({&row, {}});
    cards[place->second].subjects.push_back(row.subject);
  }
  std::string html;
  for (const auto& [group, cards] : groups) {
    size_t count = 0;
    for (const Card& card : cards) count += card.subjects.size();
    const bool is_known = group.first < kKnown;
    fmt::format_to(
        std::back_inserter(html), "<h3>{}</h3>\n<div class=\"cards\">\n",
        pill(is_known ? group.second : "other", is_known ? kSeverities[group.first].icon : "•",
             counted_severity(group.first, group.second, count)));
    for (const Card& card : cards) html += card_html(card, group.first);
    html += "</div>\n";
  }
  return html;
}

}  // namespace

std::string finding_cards(const std::vector<FindingRow>& findings) { return groups_html(findings); }

std::string findings_section(const Report& report) {
  std::string html = section("findings", "Findings",
                             "What the target's rules say about this network, errors first.",
                             groups_html(report.findings));
  return html + section("calibration-findings", "Calibration set",
                        "What was noticed in the windows the ranges were measured on.",
                        groups_html(report.calibration_findings));
}

}  // namespace graupel::report
