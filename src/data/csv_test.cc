// CSV windows: what is taken, and errors that name line and column.
#include "data/csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace graupel::data {
namespace {

std::vector<float> values_of(const CsvWindows& windows) {
  const std::span<const float> values = windows.values.data<float>();
  return {values.begin(), values.end()};
}

std::string refusal(std::string_view text, int64_t values) {
  const Result<CsvWindows> windows = parse_csv_windows(text, values);
  EXPECT_FALSE(windows.ok()) << text;
  return windows.ok() ? "" : windows.error().message();
}

TEST(Csv, ReadsPlainRowsWithSpacesBlankLinesAndCarriageReturns) {
  const Result<CsvWindows> windows = parse_csv_windows("1, -2.5,3e-1\r\n\r\n+4,5 ,.5\n", 3);
  ASSERT_TRUE(windows.ok()) << windows.error().message();
  EXPECT_EQ(windows->values.shape(), (Shape{2, 3}));
  EXPECT_EQ(values_of(*windows), (std::vector<float>{1, -2.5f, 0.3f, 4, 5, 0.5f}));
  EXPECT_FALSE(windows->labels);
}

TEST(Csv, ReadsNamedLeadingColumnsInAnyOrder) {
  const Result<CsvWindows> windows =
      parse_csv_windows("subject,label,a,b\n7,1,0.5,1.5\n8,0,2.5,3.5", 2);
  ASSERT_TRUE(windows.ok()) << windows.error().message();
  EXPECT_EQ(windows->subjects->to_int64s(), (std::vector<int64_t>{7, 8}));
  EXPECT_EQ(windows->labels->to_int64s(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(values_of(*windows), (std::vector<float>{0.5f, 1.5f, 2.5f, 3.5f}));
  // pandas numbers the columns it has no names for.
  EXPECT_TRUE(parse_csv_windows("label,0,1\n3,0.5,1.5\n", 2).ok());
  EXPECT_TRUE(parse_csv_windows("\xEF\xBB\xBF"
                                "ax,ay\n0.5,1.5\n",
                                2)
                  .ok());
}

TEST(Csv, NanAndInfinityAreValues) {
  const Result<CsvWindows> windows = parse_csv_windows("nan,inf,-inf\n", 3);
  ASSERT_TRUE(windows.ok());
  const std::vector<float> values = values_of(*windows);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], INFINITY);
  EXPECT_EQ(values[2], -INFINITY);
}

TEST(Csv, ErrorsNameLineAndColumn) {
  EXPECT_EQ(refusal("1,2\n3,x4\n", 2),
            "csv line 2, column 2: is 'x4', expected a number with '.' as decimal point");
  EXPECT_EQ(refusal("1,2\n\n3\n", 2), "csv line 3: has 1 fields, expected 2: one window per line");
  EXPECT_EQ(refusal("1,2,3\n", 2),
            "csv line 1: has more than the 2 fields that a window of this model has");
  EXPECT_EQ(refusal("label,a\n0.5,1\n", 1),
            "csv line 2, column 1: is '0.5', expected a whole number");
  EXPECT_EQ(refusal("label,label,a\n0,0,1\n", 1), "csv line 1: names 'label' twice");
}

TEST(Csv, RefusesWhatIsNoNumber) {
  for (const char* const field :
       {"", " ", "1.0.0", "0x10", "1e", "--1", "+-1", "1e400", "1 2", "\"1\"", "1;2", "\x01"}) {
    EXPECT_NE(refusal("1\n" + std::string(field) + ",1\n", 1), "") << field;
  }
  EXPECT_EQ(refusal("", 1), "csv: holds no line with values");
  EXPECT_EQ(refusal("only,names\n", 2), "csv: holds no line with values");
  // A slip in the first window is not taken for a header.
  EXPECT_NE(refusal("1.5x,2\n3,4\n", 2).find("line 1, column 1"), std::string::npos);
  EXPECT_NE(refusal("1", 0), "");
}

}  // namespace
}  // namespace graupel::data
