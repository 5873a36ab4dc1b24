// The pictures of a calibration. See plots.h.
//
// Idea: a handful of primitives append to one text; coordinates have one decimal, so the bytes do
// not depend on the last bits of a number. Test: plots_test.cc.
#include "calibrate/plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace graupel::calibrate {
namespace {

constexpr const char* kInk = "#1a202c";
constexpr const char* kGrid = "#cbd5e0";
constexpr const char* kBlue = "#2b6cb0";
constexpr const char* kRed = "#c05621";
constexpr double kRowHeight = 19.0;
constexpr double kNames = 190.0;

struct Svg {
  double width, height;
  std::string body;

  void text(double x, double y, std::string_view anchor, std::string_view content) {
    body += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y,
                        anchor, html_escaped(content));
  }
  void rect(double x, double y, double w, double h, std::string_view colour, double opacity) {
    body += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
        "fill-opacity=\"{}\"/>\n",
        x, y, std::max(w, 0.0), std::max(h, 0.0), colour, opacity);
  }
  void line(double x1, double y1, double x2, double y2, std::string_view colour, double width_px,
            std::string_view dash = "") {
    body += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" "
        "stroke-width=\"{}\"{}/>\n",
        x1, y1, x2, y2, colour, width_px,
        dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash));
  }
  void circle(double x, double y, double r, std::string_view colour) {
    body += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n", x, y, r,
                        colour);
  }
  void heading(std::string_view content) {
    body += "<g font-weight=\"bold\" font-size=\"13\">\n";
    text(12.0, 22.0, "start", content);
    body += "</g>\n";
  }
  std::string finished() const {
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
               "width=\"{0:.0f}\" height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"11\" "
               "fill=\"{2}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
               width, height, kInk) +
           body + "</svg>\n";
  }
};

// One line through the bins that hold windows.
void curve(Svg& svg, std::span<const Bin> bins, double left, double top, double side,
           const char* colour, std::string_view dash) {
  double last_x = 0.0, last_y = 0.0;
  bool first = true;
  for (const Bin& bin : bins) {
    if (bin.count == 0) continue;
    const double x = left + side * bin.mean_confidence;
    const double y = top + side * (1.0 - bin.share_right);
    if (!first) svg.line(last_x, last_y, x, y, colour, 2.0, dash);
    svg.circle(x, y, 3.5, colour);
    last_x = x, last_y = y, first = false;
  }
}

}  // namespace

Interval wilson(double right, double count) {
  if (count <= 0.0) return {};
  constexpr double z = 1.959963984540054;
  const double share = right / count, scale = 1.0 + z * z / count;
  const double center = (share + z * z / (2.0 * count)) / scale;
  const double reach =
      z * std::sqrt(share * (1.0 - share) / count + z * z / (4.0 * count * count)) / scale;
  return {std::max(0.0, center - reach), std::min(1.0, center + reach)};
}

std::string reliability_svg(std::span<const Bin> before, std::span<const Bin> after) {
  constexpr double kLeft = 52.0, kTop = 52.0, kSide = 330.0, kCounts = 70.0;
  Svg svg{kLeft + kSide + 24.0, kTop + kSide + kCounts + 56.0, ""};
  svg.heading("Reliability: what was promised, what came true");
  svg.circle(58.0, 38.0, 3.5, kRed);
  svg.text(66.0, 42.0, "start", "before scaling");
  svg.circle(158.0, 38.0, 3.5, kBlue);
  svg.text(166.0, 42.0, "start", "after scaling");
  for (int tick = 0; tick <= 5; ++tick) {
    const double at = kSide * tick / 5.0;
    svg.line(kLeft, kTop + at, kLeft + kSide, kTop + at, kGrid, 0.6);
    svg.line(kLeft + at, kTop, kLeft + at, kTop + kSide, kGrid, 0.6);
    svg.text(kLeft - 6.0, kTop + at + 4.0, "end", fmt::format("{}%", 100 - 20 * tick));
    svg.text(kLeft + at, kTop + kSide + kCounts + 26.0, "middle", fmt::format("{}%", 20 * tick));
  }
  svg.line(kLeft, kTop + kSide, kLeft + kSide, kTop, kInk, 1.0, "4 4");
  // Whiskers: where chance alone may put a bin's share.
  int64_t most = 1;
  for (const Bin& bin : after) {
    most = std::max(most, bin.count);
    if (bin.count == 0) continue;
    const auto count = static_cast<double>(bin.count);
    const Interval interval = wilson(bin.share_right * count, count);
    const double x = kLeft + kSide * bin.mean_confidence;
    svg.line(x, kTop + kSide * (1.0 - interval.high), x, kTop + kSide * (1.0 - interval.low), kBlue,
             1.2);
  }
  curve(svg, before, kLeft, kTop, kSide, kRed, "5 3");
  curve(svg, after, kLeft, kTop, kSide, kBlue, "");
  const double base = kTop + kSide + kCounts + 12.0;
  for (const Bin& bin : after) {
    const double height = kCounts * static_cast<double>(bin.count) / static_cast<double>(most);
    svg.rect(kLeft + kSide * bin.low + 1.0, base - height, kSide * (bin.high - bin.low) - 2.0,
             height, kBlue, 0.55);
  }
  svg.text(kLeft - 6.0, base, "end", "0");
  svg.text(kLeft - 6.0, base - kCounts + 8.0, "end", std::to_string(most));
  svg.text(kLeft + kSide / 2.0, base + 32.0, "middle", "confidence (bars: windows per bin)");
  return svg.finished();
}

std::string bars_svg(const std::string& title, std::span<const NamedValue> values,
                     const std::string& legend, const std::string& highlighted) {
  constexpr double kLength = 300.0;
  const double top = legend.empty() ? 34.0 : 54.0;
  Svg svg{kNames + kLength + 150.0, top + kRowHeight * static_cast<double>(values.size()) + 12.0,
          ""};
  svg.heading(title);
  if (!legend.empty()) {
    svg.rect(kNames, 32.0, 12.0, 10.0, kBlue, 0.6);
    svg.text(kNames + 17.0, 41.0, "start", legend);
    svg.rect(kNames + 150.0, 32.0, 12.0, 10.0, kRed, 0.9);
    svg.text(kNames + 167.0, 41.0, "start", highlighted);
  }
  double most = 0.0;
  for (const NamedValue& row : values) most = std::max(most, row.value);
  const double scale = most > 0.0 ? kLength / most : 0.0;
  double y = top;
  for (const NamedValue& row : values) {
    svg.text(kNames - 8.0, y + 13.0, "end", shortened(row.name, 28));
    svg.rect(kNames, y + 3.0, row.value * scale, kRowHeight - 6.0, kBlue, 0.6);
    svg.rect(kNames, y + 3.0, row.highlighted * scale, kRowHeight - 6.0, kRed, 0.9);
    svg.text(kNames + row.value * scale + 6.0, y + 13.0, "start", row.text);
    y += kRowHeight;
  }
  return svg.finished();
}

std::string coverage_svg(const std::string& title, std::span<const NamedCoverage> rows,
                         double target) {
  constexpr double kLength = 300.0, kTop = 46.0;
  const double height = kRowHeight * static_cast<double>(rows.size());
  Svg svg{kNames + kLength + 190.0, kTop + height + 14.0, ""};
  svg.heading(title);
  // The axis starts where the lowest interval does, at a whole tenth.
  double low = 0.8;
  for (const NamedCoverage& row : rows) {
    const auto count = static_cast<double>(row.stratum.count);
    low = std::min(low, wilson(row.stratum.coverage * count, count).low);
  }
  low = std::floor(low * 10.0) / 10.0;
  const auto place = [&](double share) { return kNames + kLength * (share - low) / (1.0 - low); };
  for (double tick = low; tick < 1.0 + 1e-9; tick += 0.1) {
    svg.line(place(tick), kTop, place(tick), kTop + height, kGrid, 0.6);
    svg.text(place(tick), kTop - 4.0, "middle", fmt::format("{:.0f}%", 100.0 * tick));
  }
  svg.line(place(target), kTop, place(target), kTop + height, kRed, 1.2, "4 3");
  double y = kTop;
  for (const NamedCoverage& row : rows) {
    const auto count = static_cast<double>(row.stratum.count);
    const Interval interval = wilson(row.stratum.coverage * count, count);
    svg.text(kNames - 8.0, y + 13.0, "end", shortened(row.name, 28));
    svg.line(place(interval.low), y + 9.5, place(interval.high), y + 9.5, kBlue, 2.0);
    svg.circle(place(row.stratum.coverage), y + 9.5, 4.0, kBlue);
    svg.text(kNames + kLength + 10.0, y + 13.0, "start",
             fmt::format("{:.1f}% of {}, size {:.2f}", 100.0 * row.stratum.coverage,
                         row.stratum.count, row.stratum.mean_size));
    y += kRowHeight;
  }
  return svg.finished();
}

}  // namespace graupel::calibrate
