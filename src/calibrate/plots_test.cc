// Pictures are well-formed, hold what they should, and let no name break out.
#include "calibrate/plots.h"

#include <gtest/gtest.h>

namespace graupel::calibrate {
namespace {

size_t count_of(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Plots, ReliabilityShowsEveryFilledBinTwice) {
  std::vector<Bin> bins(15);
  for (size_t b = 0; b < bins.size(); ++b) {
    bins[b].low = static_cast<double>(b) / 15.0;
    bins[b].high = static_cast<double>(b + 1) / 15.0;
  }
  bins[10] = {10 / 15.0, 11 / 15.0, 40, 0.7, 0.6};
  bins[14] = {14 / 15.0, 1.0, 80, 0.97, 0.95};
  const std::string svg = reliability_svg(bins, bins);
  EXPECT_EQ(count_of(svg, "<circle"), 2u + 4u);  // legend, two curves of two bins
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg, reliability_svg(bins, bins));
  EXPECT_EQ(reliability_svg({}, {}).find("nan"), std::string::npos);
}

TEST(Plots, NamesCannotBreakOut) {
  const std::vector<NamedValue> rows = {{"</svg><script>", 3.0, 1.0, "3 & more"}};
  const std::string svg = bars_svg("a < b", rows, "all", "some");
  EXPECT_EQ(count_of(svg, "</svg>"), 1u);
  EXPECT_EQ(count_of(svg, "<script"), 0u);
  EXPECT_NE(svg.find("a &lt; b"), std::string::npos);
}

TEST(Plots, CoverageDrawsOneLinePerStratum) {
  const std::vector<NamedCoverage> rows = {{"walk", {0, 100, 0.93, 1.2}}, {"run", {1, 5, 0.2, 2}}};
  const std::string svg = coverage_svg("by class", rows, 0.9);
  EXPECT_EQ(count_of(svg, "<circle"), 2u);
  EXPECT_NE(svg.find("93.0% of 100"), std::string::npos);
}

TEST(Plots, WilsonIsTheTextbookInterval) {
  // 9 of 10: 0.5958 to 0.9821 (Newcombe 1998, method 3).
  EXPECT_NEAR(wilson(9, 10).low, 0.5958, 1e-4);
  EXPECT_NEAR(wilson(9, 10).high, 0.9821, 1e-4);
  EXPECT_EQ(wilson(0, 0).high, 1.0);
}

}  // namespace
}  // namespace graupel::calibrate
