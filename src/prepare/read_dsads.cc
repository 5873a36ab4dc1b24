// DSADS: aNN/pN/sNN.txt, 125 rows of 45 numbers; and graupel's compact arrays of a sensor pair.
//
// Idea: the 60 segments of a recording are contiguous, so they make one run; on the stairs (a05,
// a06) the recording jumps at segment borders, so there each segment is a run. A segment that is
// missing ends the run. Reference: Barshan, Altun (2010), UCI 256. Test: readers_test.cc,
// readers_real_test.cc.
#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "data/npy.h"
#include "prepare/readers.h"
#include "prepare/runs.h"

namespace graupel::prepare {
namespace {

constexpr int kSubjects = 8;
constexpr int kActivities = 19;
constexpr int kSegments = 60;
constexpr size_t kSegmentRows = 125;
constexpr size_t kColumns = 45;
constexpr double kRate_hz = 25.0;

bool jumps_at_borders(int activity) { return activity == 5 || activity == 6; }

// Columns of each chosen sensor: five units of nine, in the order of published_sensors.
Result<std::vector<size_t>> first_columns(const Recipe& recipe) {
  const std::vector<std::string_view>& known = published_sensors(Form::kDsads);
  std::vector<size_t> columns;
  for (const std::string& sensor : recipe.sensors) {
    for (size_t i = 0; i < known.size(); ++i) {
      if (known[i] == sensor) columns.push_back(i * kAxes);
    }
  }
  if (columns.size() != recipe.sensors.size()) return internal_error("sensors", "are not DSADS's");
  return columns;
}

struct Walk {
  Recipe& recipe;
  Tally& tally;
  RunBuilder& builder;
  std::vector<size_t> columns;
  std::vector<double> values;
  int64_t row = 0;  // since the run began
};

Result<void> read_segment(Walk& walk, const std::string& path, int64_t subject, int32_t label) {
  TRY_ASSIGN(LineReader lines, LineReader::open(path));
  RowReader rows{std::move(lines), Separator::kComma, kColumns, std::vector<double>(kColumns), {}};
  ++walk.tally.files;
  size_t count = 0;
  while (true) {
    const int64_t ragged = walk.tally[Reason::kRaggedRow];
    TRY_ASSIGN(const bool more, rows.next(walk.tally));
    if (!more) break;
    if (walk.tally[Reason::kRaggedRow] != ragged) TRY(walk.builder.close());
    if (!walk.builder.open()) walk.row = 0;
    for (size_t s = 0; s < walk.columns.size(); ++s) {
      std::copy_n(rows.row.begin() + static_cast<std::ptrdiff_t>(walk.columns[s]), kAxes,
                  walk.values.begin() + static_cast<std::ptrdiff_t>(s * kAxes));
    }
    TRY(walk.builder.add(subject, label, static_cast<double>(walk.row++) / kRate_hz, walk.values,
                         rows.lines.place()));
    ++count;
  }
  if (count == kSegmentRows) return ok();
  walk.tally.notes.push_back(
      fmt::format("{} holds {} rows instead of {}", path, count, kSegmentRows));
  return walk.builder.close();
}

Result<void> read_recording(Walk& walk, const std::string& root, int activity, int subject) {
  const std::string source = fmt::format("a{:02}", activity);
  TRY_ASSIGN(const int32_t label, class_of(walk.recipe, source, root));
  int missing = 0;
  for (int segment = 1; segment <= kSegments; ++segment) {
    const std::string path = fmt::format("{}/{}/p{}/s{:02}.txt", root, source, subject, segment);
    std::error_code failed;
    if (!std::filesystem::exists(path, failed)) {
      walk.tally.add(Reason::kMissingFile, 1, path);
      ++missing;
      TRY(walk.builder.close());
      continue;
    }
    TRY(read_segment(walk, path, subject, label));
    if (jumps_at_borders(activity) && label >= 0) {
      walk.tally.add(Reason::kBorder, 1, path);
      TRY(walk.builder.close());
    }
  }
  return walk.builder.close();
}

// Folders that look like the set's and are not of it: said, since nothing in them is read.
void note_strangers(const std::string& root, Tally& tally) {
  std::set<std::string> known, strangers;
  for (int i = 1; i <= kActivities; ++i) known.insert(fmt::format("a{:02}", i));
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(root, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('a') && entry.is_directory(failed) && !known.contains(name)) {
      strangers.insert(name);
    }
  }
  for (const std::string& name : strangers) {
    tally.notes.push_back(fmt::format("{}/{} is not read: the published activities are a01 to a{}",
                                      root, name, kActivities));
  }
}

}  // namespace

Result<void> read_dsads(const std::string& path, Recipe& recipe, Tally& tally,
                        const RunSink& sink) {
  RunBuilder builder(recipe, tally, sink);
  TRY_ASSIGN(std::vector<size_t> columns, first_columns(recipe));
  Walk walk{recipe, tally, builder, std::move(columns), {}};
  walk.values.resize(recipe.sensors.size() * kAxes);
  for (int subject = 1; subject <= kSubjects; ++subject) {
    for (int activity = 1; activity <= kActivities; ++activity) {
      TRY(read_recording(walk, path, activity, subject));
    }
  }
  note_strangers(path, tally);
  if (tally.files == 0) {
    return invalid_input(path, "holds none of the files a01/p1/s01.txt to a19/p8/s60.txt");
  }
  return ok();
}

Result<void> read_dsads_compact(const std::string& path, Recipe& recipe, Tally& tally,
                                const RunSink& sink) {
  const std::string scale_path = path.substr(0, path.rfind(".npy")) + "_scale.npy";
  std::error_code failed;
  if (!std::filesystem::exists(scale_path, failed)) {
    return invalid_input(path, fmt::format("is one half of a compact recording: {}, the 2 x 9 "
                                           "scales, does not lie beside it",
                                           scale_path));
  }
  TRY_ASSIGN(const Tensor data, data::read_npy(path));
  TRY_ASSIGN(const Tensor scale, data::read_npy(scale_path));
  const size_t sensors = 2;
  const auto samples = static_cast<size_t>(kSegments) * kSegmentRows;
  if (data.dtype() != DType::kInt16 || data.shape() != Shape{kActivities, kSubjects, 7500, 2, 9} ||
      !is_float(scale.dtype()) || scale.size() != sensors * kAxes) {
    return invalid_input(path, fmt::format("is {} of {} with scales {}; expected int16 "
                                           "19x8x7500x2x9 and {} with 2x9",
                                           to_string(data.dtype()), to_string(data.shape()),
                                           to_string(scale.shape()), scale_path));
  }
  tally.files += 2;
  std::vector<size_t> chosen;
  for (const std::string& sensor : recipe.sensors) chosen.push_back(sensor == "second" ? 1 : 0);
  const std::vector<double> scales = scale.to_doubles();
  const int16_t* const numbers = data.data<int16_t>().data();
  RunBuilder builder(recipe, tally, sink);
  std::vector<double> values(chosen.size() * kAxes);
  for (size_t subject = 0; subject < kSubjects; ++subject) {
    for (size_t activity = 0; activity < kActivities; ++activity) {
      const std::string place = fmt::format("{} a{:02} p{}", path, activity + 1, subject + 1);
      TRY_ASSIGN(const int32_t label, class_of(recipe, fmt::format("a{:02}", activity + 1), path));
      tally.rows_read += static_cast<int64_t>(samples);
      int64_t row = 0;
      for (size_t i = 0; i < samples; ++i) {
        if (jumps_at_borders(static_cast<int>(activity) + 1) && i % kSegmentRows == 0) {
          if (i > 0 && label >= 0) tally.add(Reason::kBorder, 1, place);
          TRY(builder.close());
          row = 0;
        }
        const size_t at = (activity * kSubjects + subject) * samples + i;
        for (size_t s = 0; s < chosen.size(); ++s) {
          for (size_t axis = 0; axis < kAxes; ++axis) {
            const size_t column = chosen[s] * kAxes + axis;
            values[s * kAxes + axis] = numbers[at * sensors * kAxes + column] * scales[column];
          }
        }
        TRY(builder.add(static_cast<int64_t>(subject) + 1, label,
                        static_cast<double>(row++) / kRate_hz, values, place));
      }
      TRY(builder.close());
    }
  }
  return ok();
}

}  // namespace graupel::prepare
