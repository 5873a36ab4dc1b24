// Windows as CSV.
//
// Idea: one pass over the text, one line at a time, numbers by std::from_chars (exact, no locale).
// The first line is a header if it begins with "label" or "subject" or holds no number at all, so
// that a slip in the first window is an error and not a header.
// Reference: RFC 4180 without quoting, which numbers do not need. Test: csv_test.cc.
#include "data/csv.h"

#include <charconv>
#include <vector>

namespace graupel::data {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// Cuts the part up to `separator` (or all) off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

template <class T>
std::optional<T> parse_number(std::string_view field) {
  if (field.starts_with('+') && !field.starts_with("+-")) field.remove_prefix(1);
  T value{};
  const char* const end = field.data() + field.size();
  const auto [next, status] = std::from_chars(field.data(), end, value);
  if (status != std::errc() || next != end || field.empty()) return std::nullopt;
  return value;
}

// A value as float32: beyond float32's range inf or 0, beyond double's no number.
std::optional<float> parse_value(std::string_view field) {
  if (const std::optional<double> value = parse_number<double>(field)) {
    return static_cast<float>(*value);
  }
  return std::nullopt;
}

std::string quoted(std::string_view field) {
  std::string text(field.substr(0, 40));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return "'" + text + "'";
}

enum class Column { kLabel, kSubject };

struct Table {
  std::vector<Column> leading;
  size_t values_per_window = 0;
  std::vector<float> values;
  std::vector<int64_t> labels, subjects;
};

Error bad_field(size_t line, size_t column, std::string_view field, std::string_view expected) {
  return invalid_input("csv line " + std::to_string(line) + ", column " + std::to_string(column),
                       "is " + quoted(field) + ", expected " + std::string(expected));
}

bool is_header(std::string_view line) {
  std::string_view rest = line;
  const std::string_view first = trimmed(take_until(rest, ','));
  if (first == "label" || first == "subject") return true;
  while (!line.empty()) {
    if (parse_value(trimmed(take_until(line, ',')))) return false;
  }
  return true;
}

// The names of a header line; only "label" and "subject" at its front mean something.
Result<void> read_header(std::string_view line, Table& table) {
  while (!line.empty()) {
    const std::string_view name = trimmed(take_until(line, ','));
    const bool is_label = name == "label";
    if (!is_label && name != "subject") return ok();
    const Column column = is_label ? Column::kLabel : Column::kSubject;
    for (const Column known : table.leading) {
      if (known == column) return invalid_input("csv line 1", "names " + quoted(name) + " twice");
    }
    table.leading.push_back(column);
  }
  return ok();
}

Result<void> read_row(std::string_view line, size_t number, Table& table) {
  const size_t expected = table.leading.size() + table.values_per_window;
  size_t column = 0;
  bool more = true;
  while (more) {
    more = line.find(',') != std::string_view::npos;
    const std::string_view field = trimmed(take_until(line, ','));
    if (column == expected) {
      return invalid_input("csv line " + std::to_string(number),
                           "has more than the " + std::to_string(expected) +
                               " fields that a window of this model has");
    }
    if (column < table.leading.size()) {
      const std::optional<int64_t> id = parse_number<int64_t>(field);
      if (!id) return bad_field(number, column + 1, field, "a whole number");
      (table.leading[column] == Column::kLabel ? table.labels : table.subjects).push_back(*id);
    } else {
      const std::optional<float> value = parse_value(field);
      if (!value) return bad_field(number, column + 1, field, "a number with '.' as decimal point");
      table.values.push_back(*value);
    }
    ++column;
  }
  if (column != expected) {
    return invalid_input("csv line " + std::to_string(number),
                         "has " + std::to_string(column) + " fields, expected " +
                             std::to_string(expected) + ": one window per line");
  }
  return ok();
}

}  // namespace

Result<CsvWindows> parse_csv_windows(std::string_view text, int64_t values_per_window) {
  if (values_per_window < 1) return invalid_input("csv", "is read for a window without values");
  Table table;
  table.values_per_window = static_cast<size_t>(values_per_window);
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  size_t number = 0;
  bool is_first = true;
  while (!text.empty()) {
    const std::string_view line = trimmed(take_until(text, '\n'));
    ++number;
    if (line.empty()) continue;
    if (is_first && is_header(line)) {
      TRY(read_header(line, table));
    } else {
      TRY(read_row(line, number, table));
    }
    is_first = false;
  }
  const auto rows = static_cast<int64_t>(table.values.size() / table.values_per_window);
  if (rows == 0) return invalid_input("csv", "holds no line with values");
  CsvWindows windows;
  windows.values = Tensor::of<float>({rows, values_per_window}, table.values);
  if (!table.labels.empty()) windows.labels = Tensor::of<int64_t>({rows}, table.labels);
  if (!table.subjects.empty()) windows.subjects = Tensor::of<int64_t>({rows}, table.subjects);
  return windows;
}

}  // namespace graupel::data
