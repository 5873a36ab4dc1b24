// One person's picture: how many windows of each class, and where each channel's readings lie.
// Plain SVG without scripts or fonts of its own; readable on white and dark. See card.h.
// Test: prepare_test.cc.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "prepare/card.h"

namespace graupel::prepare {
namespace {

constexpr double kWidth = 860.0;
constexpr double kRowHeight = 16.0;
constexpr double kTop = 44.0;
constexpr double kNameColumn = 120.0;
constexpr double kBarLength = 190.0;
constexpr double kRangeLeft = 500.0;
constexpr double kRangeLength = 290.0;
constexpr std::array<const char*, 3> kColours = {"#2b6cb0", "#b7791f", "#2f855a"};
constexpr std::array<const char*, 3> kUnits = {"m/s²", "rad/s", "field"};

void text(std::string& svg, double x, double y, std::string_view anchor, std::string_view content) {
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     html_escaped(content));
}

void rect(std::string& svg, double x, double y, double width, double height, const char* colour,
          double opacity) {
  svg += fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
      "fill=\"{}\" fill-opacity=\"{}\"/>\n",
      x, y, std::max(width, 1.0), height, colour, opacity);
}

void class_bars(std::string& svg, const SubjectStatistics& statistics,
                const std::vector<std::string>& classes) {
  int64_t most = 1;
  for (const auto& [label, count] : statistics.label_counts) most = std::max(most, count);
  for (size_t i = 0; i < classes.size(); ++i) {
    const double y = kTop + kRowHeight * static_cast<double>(i);
    const auto found = statistics.label_counts.find(static_cast<int32_t>(i));
    const int64_t count = found == statistics.label_counts.end() ? 0 : found->second;
    text(svg, kNameColumn - 6.0, y + 11.0, "end", shortened(classes[i], 17));
    const double length = kBarLength * static_cast<double>(count) / static_cast<double>(most);
    if (count > 0) rect(svg, kNameColumn, y + 2.0, length, kRowHeight - 5.0, "#4a5568", 0.8);
    text(svg, kNameColumn + length + 5.0, y + 11.0, "start", std::to_string(count));
  }
}

// Rows of one triplet share an axis from the least to the greatest reading of all its sensors.
void channel_ranges(std::string& svg, const SubjectStatistics& statistics,
                    const std::vector<std::string>& sensors, Form form) {
  const size_t per_triplet = 3 * sensors.size();
  double y = kTop;
  for (size_t triplet = 0; triplet < 3; ++triplet) {
    const auto first = statistics.raw.begin() + static_cast<std::ptrdiff_t>(triplet * per_triplet);
    double low = first->minimum, high = first->maximum;
    for (size_t i = 0; i < per_triplet; ++i) {
      const Moments& m = first[static_cast<std::ptrdiff_t>(i)];
      low = std::min(low, m.minimum), high = std::max(high, m.maximum);
    }
    const double size = high > low ? high - low : 1.0;
    const auto place = [&](double value) {
      return kRangeLeft + kRangeLength * (value - low) / size;
    };
    for (size_t i = 0; i < per_triplet; ++i) {
      const Moments& m = first[static_cast<std::ptrdiff_t>(i)];
      const size_t axis = triplet * 3 + i / sensors.size();
      text(svg, kRangeLeft - 8.0, y + 11.0, "end",
           fmt::format("{} {}", shortened(sensors[i % sensors.size()], 14), kAxisNames[axis]));
      rect(svg, place(m.minimum), y + 7.0, place(m.maximum) - place(m.minimum), 1.5,
           kColours[triplet], 0.6);
      const double left = std::max(m.mean - m.std(), m.minimum);
      const double right = std::min(m.mean + m.std(), m.maximum);
      rect(svg, place(left), y + 3.0, place(right) - place(left), 9.0, kColours[triplet], 0.5);
      rect(svg, place(m.mean) - 1.0, y + 1.5, 2.0, 12.0, kColours[triplet], 1.0);
      y += kRowHeight;
    }
    text(svg, kRangeLeft, y + 10.0, "start", fmt::format("{:.3g}", low));
    text(svg, kRangeLeft + kRangeLength, y + 10.0, "end",
         fmt::format("{:.3g} {}", high,
                     triplet == 2 && form == Form::kUciHar ? kUnits[0] : kUnits[triplet]));
    y += kRowHeight + 8.0;
  }
}

}  // namespace

std::string subject_svg(int64_t subject, const Prepared& prepared, const WindowStore& store) {
  const Recipe& recipe = prepared.recipe;
  const SubjectStatistics& statistics = store.subjects().at(subject);
  const double left_rows = static_cast<double>(recipe.classes.size());
  const double right_rows = static_cast<double>(9 * recipe.sensors.size()) + 4.5;
  const double height = kTop + kRowHeight * std::max(left_rows, right_rows) + 14.0;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#1a202c\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
      kWidth, height);
  int64_t windows = 0;
  for (const auto& [label, count] : statistics.label_counts) windows += count;
  std::string split;
  for (const PreparedSplit& part : prepared.splits) {
    const std::vector<int64_t>& people = part.split.subjects;
    if (std::binary_search(people.begin(), people.end(), subject)) split = part.split.name;
  }
  svg += "<g font-weight=\"bold\" font-size=\"13\">\n";
  text(svg, 12.0, 22.0, "start",
       fmt::format("person {}: {} windows ({})",
                   shortened(subject_name(prepared.tally, subject), 24), windows, split));
  svg += "</g>\n";
  text(svg, 12.0, 38.0, "start", "windows of each class");
  text(svg, kRangeLeft, 38.0, "start", "least to greatest, mean ± std, before preprocessing");
  class_bars(svg, statistics, recipe.classes);
  channel_ranges(svg, statistics, recipe.sensors, recipe.form);
  return svg + "</svg>\n";
}

}  // namespace graupel::prepare
