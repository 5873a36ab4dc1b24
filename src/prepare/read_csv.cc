// The general form: a line per reading of one sensor, with time, label and subject.
//
// Idea: one cursor per chosen sensor moves through the file on its own and sees only its sensor's
// lines, so lines may be interleaved or one sensor after the other, and memory holds one run. The
// first sensor decides the runs (person, label, clock); the others contribute what they have in
// the same time. A cursor that does not find the person goes back to the start once.
// Reference: docs/data.md. Test: readers_test.cc; fuzz/recording_fuzz.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "prepare/readers.h"
#include "prepare/runs.h"

namespace graupel::prepare {
namespace {

constexpr std::array kColumnNames = {"timestamp", "sensor", "label", "subject", "ax", "ay", "az",
                                     "gx",        "gy",     "gz",    "mx",      "my", "mz"};
constexpr int kMaximumRewinds = 200;
enum Column : size_t { kTime, kSensor, kLabel, kSubject, kFirstAxis };

// Where each name of kColumnNames stands in the file, and how many fields a line has.
struct Header {
  std::array<size_t, kColumnNames.size()> at{};
  size_t fields = 0;
};

constexpr size_t kNoColumn = std::numeric_limits<size_t>::max();

Result<Header> read_header(LineReader& lines, const Recipe& recipe) {
  std::string_view line;
  TRY_ASSIGN(const bool more, lines.next(line));
  if (!more) return invalid_input(lines.name(), "is empty; expected a header line");
  if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  std::vector<std::string_view> fields;
  split_fields(line, Separator::kComma, fields);
  Header header;
  header.fields = fields.size();
  std::string missing;
  for (size_t i = 0; i < kColumnNames.size(); ++i) {
    const auto found = std::find(fields.begin(), fields.end(), kColumnNames[i]);
    header.at[i] = static_cast<size_t>(found - fields.begin());
    if (found != fields.end()) continue;
    if (recipe.continuous && (i == kLabel || i == kSubject)) {
      header.at[i] = kNoColumn;
    } else {
      missing += (missing.empty() ? "" : ", ") + std::string(kColumnNames[i]);
    }
  }
  if (missing.empty()) return header;
  return invalid_input(
      lines.place(), "the header lacks " + missing +
                         "; expected timestamp,sensor,ax,ay,az,gx,gy,gz,mx,my,mz,label,subject in "
                         "any order (leave readings that do not exist empty)");
}

struct Reading {
  double time_s = 0.0;
  int64_t subject = 0;
  int64_t session = 0;  // how often this sensor's clock was set back before
  int32_t label = 0;
  std::array<double, kAxes> axes{};
  int64_t line = 0;
};

// What the cursors share.
struct Context {
  Recipe& recipe;
  Tally& tally;
  double time_factor = 1.0;
  std::map<std::string, int64_t, std::less<>> names;  // of subjects that are not numbers
  std::optional<bool> numbered;                       // subjects are whole numbers
  std::map<std::string, int64_t> sensors_seen;
};

Result<int64_t> subject_id(Context& context, std::string_view text, const std::string& place) {
  const std::optional<int64_t> number = parse_whole(text);
  if (text.empty()) return invalid_input(place, "has no subject");
  if (context.numbered.value_or(number.has_value()) != number.has_value()) {
    return invalid_input(place, fmt::format("subject '{}' beside others of the other kind; use "
                                            "numbers for all people or names for all",
                                            text.substr(0, 80)));
  }
  context.numbered = number.has_value();
  if (number) return *number;
  const auto found = context.names.find(text);
  if (found != context.names.end()) return found->second;
  if (text.size() > 200) return invalid_input(place, "has a subject of more than 200 bytes");
  if (context.names.size() >= kMaximumPeople) return too_many_people(place);
  const auto id = static_cast<int64_t>(context.names.size()) + 1;
  context.names.emplace(text, id);
  context.tally.subject_names[id] = std::string(text);
  return id;
}

// One sensor's readings in the order of the file.
struct Cursor {
  LineReader lines;
  Header header;
  std::string sensor;
  bool counts = false;  // the first pass of the first cursor counts what it leaves out
  std::optional<Reading> ahead;
  std::vector<std::string_view> fields;
  Reading last;
  bool has_last = false;
  bool at_end = false;
  std::vector<Reading> recent;  // the last two taken: neighbours of the next run's first row
  int rewinds = 0;
  std::set<std::pair<int64_t, int64_t>> absent;  // person and session with nothing more to come

  std::string_view field(size_t column) const { return fields[header.at[column]]; }
  bool has(size_t column) const { return header.at[column] != kNoColumn; }
};

void count(const Cursor& cursor, Context& context, Reason reason) {
  if (cursor.counts) context.tally.add(reason, 1, cursor.lines.place());
}

// Takes the fields of a line; nothing for a line of another sensor or a ragged one.
Result<std::optional<Reading>> parse_line(Cursor& cursor, Context& context, std::string_view line) {
  using Maybe = std::optional<Reading>;
  split_fields(line, Separator::kComma, cursor.fields);
  const bool first = cursor.sensor == context.recipe.sensors[0];
  if (cursor.fields.size() != cursor.header.fields) {
    if (first && cursor.counts) {
      ++context.tally.rows_read;
      count(cursor, context, Reason::kRaggedRow);
    }
    return Maybe();
  }
  if (first && cursor.counts) {
    ++context.tally.rows_read;
    const std::string_view sensor = cursor.field(kSensor).substr(0, 80);
    if (context.sensors_seen.size() < 256) ++context.sensors_seen[std::string(sensor)];
  }
  if (cursor.field(kSensor) != cursor.sensor) return Maybe();
  Reading reading;
  reading.line = cursor.lines.line_number();
  const std::optional<double> time = parse_reading(cursor.field(kTime));
  bool good = time && std::isfinite(*time);
  for (size_t axis = 0; good && axis < kAxes; ++axis) {
    const std::optional<double> value = parse_reading(cursor.field(kFirstAxis + axis));
    good = value.has_value();
    if (good) reading.axes[axis] = *value;
  }
  if (!good) {
    count(cursor, context, Reason::kRaggedRow);
    return Maybe();
  }
  reading.time_s = *time * context.time_factor;
  const std::string place = cursor.lines.place();
  if (cursor.has(kSubject)) {
    TRY_ASSIGN(reading.subject, subject_id(context, cursor.field(kSubject), place));
  }
  if (context.recipe.continuous) {
    const auto& labels = context.recipe.labels;
    const auto known =
        cursor.has(kLabel) ? labels.find(std::string(cursor.field(kLabel))) : labels.end();
    reading.label = known == labels.end() ? -1 : known->second;
  } else {
    TRY_ASSIGN(reading.label, class_of(context.recipe, cursor.field(kLabel), place));
  }
  to_target_units(context.recipe, cursor.sensor, reading.axes);
  return Maybe(reading);
}

// Fills cursor.ahead with the next reading whose time follows; leaves it empty at the end.
Result<void> advance(Cursor& cursor, Context& context) {
  cursor.ahead.reset();
  while (!cursor.at_end) {
    std::string_view line;
    TRY_ASSIGN(const bool more, cursor.lines.next(line));
    if (!more) {
      cursor.at_end = true;
      break;
    }
    if (line.empty()) continue;
    using Maybe = std::optional<Reading>;
    TRY_ASSIGN(const Maybe parsed, parse_line(cursor, context, line));
    if (!parsed) continue;
    Reading reading = *parsed;
    if (cursor.has_last && reading.subject == cursor.last.subject) {
      reading.session = cursor.last.session;
      const Step step = step_of(cursor.last.time_s, reading.time_s);
      if (step == Step::kDuplicate) count(cursor, context, Reason::kDuplicateTime);
      if (step == Step::kBackward) count(cursor, context, Reason::kBackwardTime);
      if (step == Step::kDuplicate || step == Step::kBackward) continue;
      if (step == Step::kRestart) {
        count(cursor, context, Reason::kClockRestart);
        ++reading.session;
      }
    }
    cursor.last = reading;
    cursor.has_last = true;
    cursor.ahead = reading;
    return ok();
  }
  return ok();
}

void append(Series& series, const Reading& reading) {
  series.time_s.push_back(reading.time_s);
  series.values.insert(series.values.end(), reading.axes.begin(), reading.axes.end());
}

bool same_clock(const Reading& a, const Reading& b) {
  return a.subject == b.subject && a.session == b.session;
}

// The next run of the first sensor; empty series at the end of the file.
Result<Reading> first_run(Cursor& cursor, Context& context, RawRun& run) {
  Series& series = run.sensors[0];
  const bool continuous = context.recipe.continuous;
  Reading begin;
  while (cursor.ahead) {
    const Reading& reading = *cursor.ahead;
    if (series.rows() == 0) begin = reading;
    if (!same_clock(reading, begin) || (!continuous && reading.label != begin.label)) break;
    if (series.rows() > 0 && step_of(series.time_s.back(), reading.time_s) == Step::kGap) {
      count(cursor, context, Reason::kGapCut);
      break;
    }
    if (series.rows() >= kMaximumRunRows) {
      count(cursor, context, Reason::kLongRun);
      break;
    }
    if (reading.label < 0 && !continuous) {
      count(cursor, context, Reason::kLeftOutLabel);
    } else {
      append(series, reading);
      if (continuous) run.row_labels.push_back(reading.label);
    }
    TRY(advance(cursor, context));
    if (series.rows() == 0) return begin;
  }
  return begin;
}

Result<void> rewind(Cursor& cursor, Context& context) {
  if (++cursor.rewinds > kMaximumRewinds) {
    return invalid_input(cursor.lines.name(),
                         "has its sensors in different orders of people; sort its lines by subject "
                         "and time");
  }
  TRY(cursor.lines.rewind());
  TRY_ASSIGN(cursor.header, read_header(cursor.lines, context.recipe));
  cursor.has_last = false;
  cursor.at_end = false;
  cursor.counts = false;
  cursor.recent.clear();
  return advance(cursor, context);
}

// What another sensor has from `from` to `to`, with a neighbour on each side. Goes forward, and
// back to the start once if the person does not come.
Result<void> partner_run(Cursor& cursor, Context& context, const Reading& from, double to_s,
                         Series& series) {
  if (cursor.absent.contains({from.subject, from.session})) return ok();
  const double margin_s = std::max(context.recipe.gap_s, kClockRestart_s);
  for (const Reading& reading : cursor.recent) {
    const bool near = reading.time_s >= from.time_s - margin_s;
    if (near && same_clock(reading, from)) append(series, reading);
  }
  if (series.rows() > 0 && series.time_s.back() >= to_s) return ok();
  for (int pass = 0; pass < 2; ++pass) {
    while (cursor.ahead) {
      const Reading& reading = *cursor.ahead;
      if (same_clock(reading, from)) {
        if (series.rows() >= 4 * kMaximumRunRows) return ok();
        if (reading.time_s > to_s + margin_s) return ok();
        const bool is_last = reading.time_s >= to_s;
        if (reading.time_s >= from.time_s - margin_s) append(series, reading);
        if (cursor.recent.size() == 2) cursor.recent.erase(cursor.recent.begin());
        cursor.recent.push_back(reading);
        if (is_last) return advance(cursor, context);  // what follows is the next run's
      } else if (series.rows() > 0) {
        return ok();
      }
      TRY(advance(cursor, context));
    }
    if (series.rows() > 0) return ok();
    if (pass == 0) TRY(rewind(cursor, context));
  }
  cursor.absent.insert({from.subject, from.session});
  return ok();
}

Result<Cursor> open_cursor(LineReader lines, const std::string& sensor, Context& context) {
  Cursor cursor{std::move(lines), {}, sensor, true, {}, {}, {}, false, false, {}, 0, {}};
  TRY_ASSIGN(cursor.header, read_header(cursor.lines, context.recipe));
  TRY(advance(cursor, context));
  return cursor;
}

Result<void> check_sensors_seen(const Context& context, const std::string& name) {
  std::string found;
  for (const auto& [sensor, rows] : context.sensors_seen) {
    found += fmt::format("{}{} ({} rows)", found.empty() ? "" : ", ", sensor, rows);
  }
  for (const std::string& sensor : context.recipe.sensors) {
    if (context.sensors_seen.contains(sensor)) continue;
    return invalid_input(name, fmt::format("has no sensor '{}'; it has {}", sensor,
                                           found.empty() ? "no rows" : found));
  }
  return ok();
}

Result<void> read_all(const std::function<Result<LineReader>()>& open, const std::string& name,
                      Recipe& recipe, Tally& tally, const RunSink& sink) {
  Context context{recipe, tally, unit_factor(recipe.units.time).value_or(1.0), {}, {}, {}};
  std::vector<Cursor> cursors;
  for (const std::string& sensor : recipe.sensors) {
    TRY_ASSIGN(LineReader lines, open());
    TRY_ASSIGN(Cursor cursor, open_cursor(std::move(lines), sensor, context));
    cursors.push_back(std::move(cursor));
  }
  ++tally.files;
  while (cursors[0].ahead) {
    RawRun run;
    run.sensors.resize(cursors.size());
    TRY_ASSIGN(const Reading begin, first_run(cursors[0], context, run));
    if (run.sensors[0].rows() == 0) continue;
    run.subject = begin.subject;
    run.label = begin.label;
    run.place = fmt::format("{}:{}", name, begin.line);
    const double to_s = run.sensors[0].time_s.back();
    for (size_t s = 1; s < cursors.size(); ++s) {
      TRY(partner_run(cursors[s], context, begin, to_s, run.sensors[s]));
    }
    TRY(sink(std::move(run)));
  }
  return check_sensors_seen(context, name);
}

}  // namespace

Result<void> read_csv(const std::string& path, Recipe& recipe, Tally& tally, const RunSink& sink) {
  return read_all([&] { return LineReader::open(path); }, path, recipe, tally, sink);
}

Result<void> read_csv_text(std::string_view text, Recipe& recipe, Tally& tally,
                           const RunSink& sink) {
  return read_all([&]() -> Result<LineReader> { return LineReader::over(text, "text"); }, "text",
                  recipe, tally, sink);
}

}  // namespace graupel::prepare
