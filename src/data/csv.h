// Windows as comma-separated text.
// Test: csv_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::data {

struct CsvWindows {
  Tensor values;                   // float32 N x V, one row per line
  std::optional<Tensor> labels;    // int64 N, from a column "label"
  std::optional<Tensor> subjects;  // int64 N, from a column "subject"
};

// One window per line: `values_per_window` numbers in row-major order of the window's shape. An
// optional first line names the columns; if its first names are "label" and/or "subject" (in any
// order), these columns hold whole numbers and the values follow. Fields are separated by ',' and
// may have spaces around them; blank lines are skipped; "nan" and "inf" are values. Numbers are
// read independently of the locale. Memory: below eight times the text.
// Error kInvalidInput names line and column: a field that is no number, too few or too many
// fields, no line with values.
Result<CsvWindows> parse_csv_windows(std::string_view text, int64_t values_per_window);

}  // namespace graupel::data
