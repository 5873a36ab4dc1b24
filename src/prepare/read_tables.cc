// MHEALTH and PAMAP2: one table of numbers per person.
//
// MHEALTH: mHealth_subjectN.log, 24 columns: chest acceleration 3, ECG 2, left ankle and right
// lower arm with acceleration, rotation and magnetic field of 3 each, label; 50 Hz, no time stamps.
// PAMAP2: subjectN.dat in Protocol/ (and Optional/), 54 columns: time, activity, heart rate, then
// hand, chest and ankle of 17 each (temperature, acceleration to 16 g, acceleration to 6 g,
// rotation, magnetic field, 4 of no use); 100 Hz, NaN where a packet was lost. The 16 g range is
// taken: the other one clips. Reference: Banos et al. (2014), UCI 319; Reiss, Stricker (2012), UCI
// 231. Test: readers_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "prepare/readers.h"
#include "prepare/runs.h"

namespace graupel::prepare {
namespace {

struct TableForm {
  size_t columns;
  size_t label_column;
  std::optional<size_t> time_column;  // none: the row's number over the rate
};
constexpr TableForm kMhealthForm = {24, 23, std::nullopt};
constexpr TableForm kPamap2Form = {54, 1, 0};

// The nine columns of a sensor, in the order of kAxisNames.
std::vector<size_t> mhealth_columns(const std::string& sensor) {
  const size_t first = sensor == "ankle" ? 5 : 14;
  std::vector<size_t> columns;
  for (size_t i = 0; i < kAxes; ++i) columns.push_back(first + i);
  return columns;
}
std::vector<size_t> pamap2_columns(const std::string& sensor) {
  const size_t first = 3 + 17 * (sensor == "hand" ? 0 : sensor == "chest" ? 1 : 2);
  return {first + 1, first + 2,  first + 3,  first + 7, first + 8,
          first + 9, first + 10, first + 11, first + 12};
}

struct Table {
  TableForm form;
  std::vector<size_t> columns;  // of all chosen sensors
  Recipe& recipe;
  Tally& tally;
  const RunSink& sink;
};

Result<void> read_table(Table& table, const std::string& path, int64_t subject) {
  TRY_ASSIGN(LineReader lines, LineReader::open(path));
  const TableForm& form = table.form;
  RowReader rows{
      std::move(lines), Separator::kBlank, form.columns, std::vector<double>(form.columns), {}};
  ++table.tally.files;
  RunBuilder builder(table.recipe, table.tally, table.sink);
  std::vector<double> values(table.columns.size());
  int64_t row = 0;
  while (true) {
    const int64_t ragged = table.tally[Reason::kRaggedRow];
    TRY_ASSIGN(const bool more, rows.next(table.tally));
    if (!more) break;
    if (table.tally[Reason::kRaggedRow] != ragged && !form.time_column) TRY(builder.close());
    const double label_value = rows.row[form.label_column];
    if (!(std::abs(label_value) < 1e6) || label_value != std::floor(label_value)) {
      return invalid_input(rows.lines.place(), fmt::format("label '{}' is not a whole number",
                                                           rows.fields[form.label_column]));
    }
    TRY_ASSIGN(const int32_t label,
               class_of(table.recipe, std::to_string(static_cast<int64_t>(label_value)),
                        rows.lines.place()));
    if (!builder.open()) row = 0;
    const double time_s = form.time_column
                              ? rows.row[*form.time_column]
                              : static_cast<double>(row++) / table.recipe.source_rate_hz;
    if (!std::isfinite(time_s)) {
      table.tally.add(Reason::kRaggedRow, 1, rows.lines.place());
      continue;
    }
    for (size_t i = 0; i < values.size(); ++i) values[i] = rows.row[table.columns[i]];
    TRY(builder.add(subject, label, time_s, values, rows.lines.place()));
  }
  return builder.close();
}

Table make_table(const TableForm& form, std::vector<size_t> (*columns_of)(const std::string&),
                 Recipe& recipe, Tally& tally, const RunSink& sink) {
  Table table{form, {}, recipe, tally, sink};
  for (const std::string& sensor : recipe.sensors) {
    for (const size_t column : columns_of(sensor)) table.columns.push_back(column);
  }
  return table;
}

bool is_there(const std::string& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed);
}

}  // namespace

Result<void> read_mhealth(const std::string& path, Recipe& recipe, Tally& tally,
                          const RunSink& sink) {
  Table table = make_table(kMhealthForm, mhealth_columns, recipe, tally, sink);
  for (int64_t subject = 1; subject <= 10; ++subject) {
    const std::string file = fmt::format("{}/mHealth_subject{}.log", path, subject);
    if (is_there(file)) {
      TRY(read_table(table, file, subject));
    } else {
      tally.add(Reason::kMissingFile, 1, file);
    }
  }
  if (tally.files > 0) return ok();
  return invalid_input(path, "holds none of mHealth_subject1.log to mHealth_subject10.log");
}

Result<void> read_pamap2(const std::string& path, Recipe& recipe, Tally& tally,
                         const RunSink& sink) {
  Table table = make_table(kPamap2Form, pamap2_columns, recipe, tally, sink);
  const bool has_protocol = is_there(path + "/Protocol");
  for (int64_t subject = 101; subject <= 109; ++subject) {
    const std::string file = fmt::format("subject{}.dat", subject);
    const std::string protocol = path + (has_protocol ? "/Protocol/" : "/") + file;
    if (is_there(protocol)) {
      TRY(read_table(table, protocol, subject));
    } else {
      tally.add(Reason::kMissingFile, 1, protocol);
    }
    const std::string optional = path + "/Optional/" + file;
    if (has_protocol && is_there(optional)) TRY(read_table(table, optional, subject));
  }
  if (tally.files > 0) return ok();
  return invalid_input(path,
                       "holds none of subject101.dat to subject109.dat, nor a folder "
                       "Protocol with them");
}

}  // namespace graupel::prepare
