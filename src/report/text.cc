// The verdict table for the terminal. See report.h. Test: text_test.cc.
#include <algorithm>

#include "base/text.h"
#include "report/parts.h"

namespace graupel::report {
namespace {

constexpr size_t kLineColumns = 100;
constexpr size_t kGap = 2;
constexpr size_t kStatusColumns = 12;  // "not measured"
constexpr size_t kMostTitle = 40, kMostValue = 22, kMostLimit = 18;
static_assert(kStatusColumns + kMostTitle + kMostValue + kMostLimit + 3 * kGap <= kLineColumns);

std::string_view word_of(Status status) {
  switch (status) {
    case Status::kPass: return "PASS";
    case Status::kFail: return "FAIL";
    case Status::kNotMeasured: return "not measured";
    case Status::kInfo: return "info";
  }
  return "not measured";
}

std::string_view color_of(Status status) {
  switch (status) {
    case Status::kPass: return "\x1b[32m";
    case Status::kFail: return "\x1b[1;31m";
    case Status::kNotMeasured: return "\x1b[33m";
    case Status::kInfo: return "\x1b[2m";
  }
  return "";
}

// `text` cut to `columns` and, unless it ends the line, filled up with spaces.
std::string cell(std::string_view text, size_t columns) {
  std::string out = shortened(text, columns);
  out.append(columns - std::min(columns, display_columns(out)), ' ');
  return out;
}

// `text` in lines of at most `columns`, broken at spaces, words that are too long cut.
std::vector<std::string> wrapped(std::string_view text, size_t columns) {
  const std::string clean = clean_utf8(text);
  std::vector<std::string> lines;
  std::string line;
  for (size_t start = 0; start < clean.size();) {
    const size_t end = std::min(clean.find(' ', start), clean.size());
    const std::string word = shortened(std::string_view(clean).substr(start, end - start), columns);
    start = end + 1;
    if (word.empty()) continue;
    const size_t needed = display_columns(line) + (line.empty() ? 0 : 1) + display_columns(word);
    if (needed > columns) {
      lines.push_back(line);
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  if (!line.empty()) lines.push_back(line);
  return lines;
}

std::string without_trailing_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

struct Widths {
  size_t title = 3, value = 8, limit = 5;  // at least their headings
};

std::string_view title_of(const Bar& bar) { return bar.title.empty() ? bar.id : bar.title; }

std::string row(const Bar& bar, const Widths& widths, Color color) {
  const std::string status = cell(word_of(bar.status), kStatusColumns);
  const std::string gap(kGap, ' ');
  const std::string rest =
      cell(title_of(bar), widths.title) + gap +
      cell(bar.value.empty() ? kNothing : std::string_view(bar.value), widths.value) + gap +
      cell(bar.limit, widths.limit);
  if (color == Color::kOff) return without_trailing_spaces(status + gap + rest) + "\n";
  return std::string(color_of(bar.status)) + status + "\x1b[0m" + gap +
         without_trailing_spaces(rest) + "\n";
}

}  // namespace

std::string render_bars(const std::vector<Bar>& bars, Color color) {
  Widths widths;
  for (const Bar& bar : bars) {
    widths.title = std::max(widths.title, display_columns(clean_utf8(title_of(bar))));
    widths.value = std::max(widths.value, display_columns(clean_utf8(bar.value)));
    widths.limit = std::max(widths.limit, display_columns(clean_utf8(bar.limit)));
  }
  widths.title = std::min(widths.title, kMostTitle);
  widths.value = std::min(widths.value, kMostValue);
  widths.limit = std::min(widths.limit, kMostLimit);
  const std::string gap(kGap, ' ');
  const std::string margin(kStatusColumns + kGap, ' ');
  std::string text;
  if (!bars.empty()) {
    text = cell("Verdict", kStatusColumns) + gap + cell("Bar", widths.title) + gap +
           cell("Measured", widths.value) + gap + "Limit\n";
  }
  for (const Bar& bar : bars) {
    text += row(bar, widths, color);
    // What passed needs no explanation here; the page has it.
    if (bar.status != Status::kFail && bar.status != Status::kNotMeasured) continue;
    for (const std::string& line : wrapped(bar.detail, kLineColumns - margin.size())) {
      text += margin + line + "\n";
    }
  }
  for (const std::string& line : wrapped(judge(bars).sentence, kLineColumns)) text += line + "\n";
  return text;
}

}  // namespace graupel::report
