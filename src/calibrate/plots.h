// Pictures of what was judged, as SVG without scripts or fonts of its own, readable on white and
// dark pages alike. Same input, same bytes. Every text is escaped. Test: plots_test.cc.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "calibrate/conformal.h"
#include "calibrate/metrics.h"

namespace graupel::calibrate {

// Share of right windows over confidence, before and after scaling, above the number of windows
// per bin (after). Perfect probabilities lie on the diagonal.
std::string reliability_svg(std::span<const Bin> before, std::span<const Bin> after);

struct NamedValue {
  std::string name;
  double value = 0.0;        // length of the bar
  double highlighted = 0.0;  // part of it, drawn in a second colour
  std::string text;          // behind the bar
};
// Horizontal bars, one per line; `legend` names both colours ("all", "of them"), or is empty.
std::string bars_svg(const std::string& title, std::span<const NamedValue> values,
                     const std::string& legend = "", const std::string& highlighted = "");

struct NamedCoverage {
  std::string name;
  Stratum stratum;
};
// Coverage with its 95 % Wilson interval per line, and a line at `target`.
std::string coverage_svg(const std::string& title, std::span<const NamedCoverage> rows,
                         double target);

// 95 % interval of a share, from `right` of `count` (Wilson 1927).
struct Interval {
  double low = 0.0, high = 1.0;
};
Interval wilson(double right, double count);

}  // namespace graupel::calibrate
