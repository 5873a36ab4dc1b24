// Tests of the verdict table for the terminal.
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "base/text.h"
#include "report/report.h"
#include "report/report_sample.h"

namespace graupel::report {
namespace {

TEST(Bars, Golden) {
  const std::vector<Bar> bars = {
      {"a", "Simplified vs. original", "3.1e-06", "< 1e-3", Status::kPass, "Not shown."},
      {"b", "Kernlatenz größer", "21 µs", "< 15 µs", Status::kFail,
       "A long explanation that does not fit into one line of a terminal with one hundred columns "
       "and is therefore wrapped."},
      {"c", "波形", "", "< 15 ms", Status::kNotMeasured, "No Hailo-8 is attached."},
      {"d", "Codes", "412 of 4800", "", Status::kInfo, ""},
  };
  EXPECT_EQ(render_bars(bars, Color::kOff),
            "Verdict       Bar                      Measured     Limit\n"
            "PASS          Simplified vs. original  3.1e-06      < 1e-3\n"
            "FAIL          Kernlatenz größer        21 µs        < 15 µs\n"
            "              A long explanation that does not fit into one line of a terminal with "
            "one hundred\n"
            "              columns and is therefore wrapped.\n"
            "not measured  波形                     –            < 15 ms\n"
            "              No Hailo-8 is attached.\n"
            "info          Codes                    412 of 4800\n"
            "1 of 2 bars missed: Kernlatenz größer; 1 not measured\n");
}

TEST(Bars, ColorOnlyAddsCodes) {
  const std::vector<Bar> bars = sample_report().bars;
  std::string colored = render_bars(bars, Color::kOn);
  EXPECT_NE(colored.find("\x1b[32mPASS"), std::string::npos);
  EXPECT_NE(colored.find("\x1b[1;31mFAIL"), std::string::npos);
  for (size_t at = colored.find('\x1b'); at != std::string::npos; at = colored.find('\x1b')) {
    colored.erase(at, colored.find('m', at) - at + 1);
  }
  EXPECT_EQ(colored, render_bars(bars, Color::kOff));
}

TEST(Bars, NoLineIsWiderThanTheTerminal) {
  const std::string wide(300, 'w');
  const std::string hostile = "\x1b[31m\xff波\n" + wide;
  for (const std::string& text : {wide, hostile, wide + " " + wide, std::string()}) {
    for (const Status status : {Status::kPass, Status::kFail, Status::kNotMeasured}) {
      const std::string table = render_bars({{text, text, text, text, status, text}}, Color::kOff);
      EXPECT_EQ(table.find('\x1b'), std::string::npos);
      std::istringstream lines(table);
      for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(display_columns(line), 100u) << line;
        EXPECT_EQ(clean_utf8(line), line);
        EXPECT_FALSE(line.ends_with(' ')) << line;
      }
      EXPECT_TRUE(table.ends_with('\n'));
    }
  }
}

TEST(Bars, NoneAtAll) { EXPECT_EQ(render_bars({}, Color::kOff), "No bar was measured\n"); }

}  // namespace
}  // namespace graupel::report
