// What the files of this room share: human numbers, and the sections of the page.
// Every function that returns HTML returns balanced tags, or nothing when there is nothing to show.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/report.h"

namespace graupel::report {

// ---- numbers for people (format.cc) ----

inline constexpr std::string_view kNothing = "–";  // shown for a number that is not there

std::string human_time_us(double time_us);    // "812 ns", "4.20 µs", "1.25 ms", "3.0 s"
std::string human_bytes(int64_t size_bytes);  // "812 B", "4.2 KiB", "1.0 MiB"
std::string human_count(int64_t count);       // "812", "4.2 k", "1.25 M", "3.9 G"
std::string human_db(double snr_db);          // "41.7 dB", "exact", "unknown"
std::string human_percent(double percent);    // "0 %", "< 0.01 %", "12.5 %"
std::string human_number(double value);       // four significant digits
std::string counted(size_t count, std::string_view noun);  // "1 error", "2 errors"

// What all bars together say; the first line of both renderers.
struct Verdict {
  size_t passed = 0, failed = 0, not_measured = 0;
  std::string sentence;  // "All 9 bars met", "2 of 9 bars missed: ..."
};
Verdict judge(const std::vector<Bar>& bars);

// ---- pieces of HTML (pieces.cc) ----

// A name from a model file: escaped, in <code>, breakable behind separators.
std::string code_name(std::string_view name);
// A horizontal bar of `percent` (0..100) in colour class `kind`, with lines at `marks` (percent).
// SVG rather than CSS: it is printed even where backgrounds are not.
std::string bar_svg(double percent, std::string_view kind, std::span<const double> marks = {});
std::string pill(std::string_view kind, std::string_view icon, std::string_view word);

struct Column {
  std::string title;
  bool number = false;  // right aligned
};
struct Table {
  std::string caption;  // for screen readers
  std::string kind;     // CSS class
  std::vector<Column> columns;
  std::vector<std::string> rows;  // each a <tr>
  std::string foot;               // a <tr> or nothing
};
// The table in a box that scrolls sideways; rows behind the first `visible` are folded away.
std::string table_html(const Table& table, size_t visible = 40);
std::string section(std::string_view id, std::string_view title, std::string_view intro,
                    std::string_view body);

// ---- sections ----

std::string findings_section(const Report& report);  // findings.cc
std::string finding_cards(const std::vector<FindingRow>& findings);
std::string noise_section(const Report& report);      // measures.cc
std::string sensitivity_html(const Report& report);   // sensitivity.cc: part of the noise section
std::string tries_html(const Report& report);         // likewise
std::string latency_section(const Report& report);    // measures.cc
std::string sizes_section(const Report& report);      // measures.cc
std::string passes_section(const Report& report);     // measures.cc
std::string confusion_section(const Report& report);  // confusion.cc
std::string listings_section(const Report& report);   // listings.cc

std::string_view page_style();  // style.cc

}  // namespace graupel::report
