// UCI HAR: the inertial signals of one phone, cut by their publishers into windows of 128 samples.
//
// {train,test}/Inertial Signals/{total_acc,body_gyro,body_acc}_{x,y,z}_{train,test}.txt hold a
// window per line; y_*.txt and subject_*.txt a number per line. Consecutive windows of one
// recording overlap by half, bit for bit; where they do, the recording is put together again, so
// that windows of another length can be cut. Total acceleration is in g; body acceleration (gravity
// removed by the publishers, in g) takes the place of the magnetometer, which the set lacks.
// Reference: Anguita et al. (2013), UCI 240. Test: readers_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "prepare/readers.h"
#include "prepare/runs.h"

namespace graupel::prepare {
namespace {

constexpr size_t kWindow = 128;
constexpr size_t kOverlap = 64;
constexpr double kGravity = 9.80665;  // body acceleration comes in g, into a column of factor 1
constexpr std::array kSignals = {"total_acc_x", "total_acc_y", "total_acc_z",
                                 "body_gyro_x", "body_gyro_y", "body_gyro_z",
                                 "body_acc_x",  "body_acc_y",  "body_acc_z"};

Result<RowReader> open_rows(const std::string& path, size_t columns, Tally& tally) {
  TRY_ASSIGN(LineReader lines, LineReader::open(path));
  ++tally.files;
  return RowReader{std::move(lines), Separator::kBlank, columns, std::vector<double>(columns), {}};
}

// One line of each file, which describe the same window.
struct Part {
  std::vector<RowReader> signals;
  std::vector<RowReader> label;    // one
  std::vector<RowReader> subject;  // one
};

Result<Part> open_part(const std::string& folder, const std::string& name, Tally& tally) {
  Part part;
  for (const char* const signal : kSignals) {
    const std::string file =
        fmt::format("{}/{}/Inertial Signals/{}_{}.txt", folder, name, signal, name);
    TRY_ASSIGN(RowReader rows, open_rows(file, kWindow, tally));
    part.signals.push_back(std::move(rows));
  }
  TRY_ASSIGN(RowReader label,
             open_rows(fmt::format("{}/{}/y_{}.txt", folder, name, name), 1, tally));
  TRY_ASSIGN(RowReader subject,
             open_rows(fmt::format("{}/{}/subject_{}.txt", folder, name, name), 1, tally));
  part.label.push_back(std::move(label));
  part.subject.push_back(std::move(subject));
  return part;
}

// False at the common end. A ragged line would shift its file against the others.
Result<bool> next_window(Part& part, Tally& tally) {
  Tally lines;
  std::array<size_t, 2> count{};
  const auto advance = [&](RowReader& rows) -> Result<void> {
    TRY_ASSIGN(const bool more, rows.next(lines));
    ++count[more ? 1 : 0];
    if (lines[Reason::kRaggedRow] == 0) return ok();
    return invalid_input(rows.lines.place(),
                         fmt::format("does not hold {} numbers; its lines have to match those of "
                                     "the other files",
                                     rows.columns));
  };
  for (RowReader& rows : part.signals) TRY(advance(rows));
  TRY(advance(part.label[0]));
  TRY(advance(part.subject[0]));
  if (count[0] != 0 && count[1] != 0) {
    return invalid_input(part.label[0].lines.place(),
                         "the files of this folder have different numbers of lines");
  }
  if (count[1] != 0) ++tally.rows_read;
  return count[1] != 0;
}

bool continues(const std::vector<double>& before, const Part& part) {
  for (size_t c = 0; c < kAxes; ++c) {
    for (size_t i = 0; i < kOverlap; ++i) {
      if (before[c * kWindow + kOverlap + i] != part.signals[c].row[i]) return false;
    }
  }
  return true;
}

Result<void> read_part(const std::string& folder, const std::string& name, Recipe& recipe,
                       Tally& tally, const RunSink& sink) {
  TRY_ASSIGN(Part part, open_part(folder, name, tally));
  RunBuilder builder(recipe, tally, sink);
  std::vector<double> before;
  std::array<double, kAxes> values{};
  while (true) {
    TRY_ASSIGN(const bool more, next_window(part, tally));
    if (!more) break;
    const std::string place = part.signals[0].lines.place();
    const double label_value = part.label[0].row[0];
    const double subject = part.subject[0].row[0];
    if (!(std::abs(label_value) < 1e6) || !(std::abs(subject) < 1e6)) {
      return invalid_input(place, "belongs to a label or subject that is not a number");
    }
    TRY_ASSIGN(const int32_t label,
               class_of(recipe, std::to_string(static_cast<int64_t>(label_value)),
                        part.label[0].lines.place()));
    const bool joined = builder.open() && !before.empty() && continues(before, part);
    if (!joined && builder.open()) {
      tally.add(Reason::kBorder, 1, place);
      TRY(builder.close());
    }
    for (size_t i = joined ? kOverlap : 0; i < kWindow; ++i) {
      for (size_t c = 0; c < kAxes; ++c) values[c] = part.signals[c].row[i];
      for (size_t c = 6; c < kAxes; ++c) values[c] *= kGravity;
      const double time_s = static_cast<double>(builder.rows()) / recipe.source_rate_hz;
      TRY(builder.add(static_cast<int64_t>(subject), label, time_s, values, place));
    }
    before.clear();
    for (const RowReader& rows : part.signals) {
      before.insert(before.end(), rows.row.begin(), rows.row.end());
    }
  }
  return builder.close();
}

}  // namespace

Result<void> read_uci_har(const std::string& path, Recipe& recipe, Tally& tally,
                          const RunSink& sink) {
  TRY(read_part(path, "train", recipe, tally, sink));
  return read_part(path, "test", recipe, tally, sink);
}

}  // namespace graupel::prepare
