// Which form lies where, and rows of numbers. See readers.h. Test: readers_test.cc.
#include "prepare/readers.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

namespace graupel::prepare {
namespace {

namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(path, failed);
}

std::optional<Form> form_of_folder(const fs::path& folder) {
  if (is_there(folder / "a01") || is_there(folder / "a02")) return Form::kDsads;
  if (is_there(folder / "train" / "Inertial Signals")) return Form::kUciHar;
  for (int i = 1; i <= 10; ++i) {
    if (is_there(folder / fmt::format("mHealth_subject{}.log", i))) return Form::kMhealth;
  }
  for (int i = 101; i <= 109; ++i) {
    const std::string file = fmt::format("subject{}.dat", i);
    if (is_there(folder / "Protocol" / file) || is_there(folder / file)) return Form::kPamap2;
  }
  return std::nullopt;
}

bool has_ending(const std::string& path, std::string_view ending) {
  return path.size() >= ending.size() && path.ends_with(ending);
}

}  // namespace

Result<Form> detect_form(const std::string& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (!fs::exists(status)) return io_error(path, "does not exist");
  if (!fs::is_directory(status)) {
    return has_ending(path, ".npy") ? Form::kDsadsCompact : Form::kCsv;
  }
  if (const std::optional<Form> form = form_of_folder(path)) return *form;
  std::string hint, arrays;
  for (fs::directory_iterator entry(path, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code ignored;
    const std::string name = entry->path().string();
    if (!entry->is_directory(ignored)) {
      if (has_ending(name, ".npy") && is_there(name.substr(0, name.size() - 4) + "_scale.npy")) {
        arrays = arrays.empty() ? name : std::min(arrays, name);
      }
      continue;
    }
    const std::optional<Form> below = form_of_folder(entry->path());
    if (below && (hint.empty() || name < hint)) hint = name;
  }
  if (!arrays.empty()) {
    return invalid_input(path,
                         "holds compact arrays, one file for each pair of sensors; give the "
                         "file itself: " +
                             arrays);
  }
  return invalid_input(
      path, hint.empty() ? "holds no set that is known: expected a01/p1/s01.txt (DSADS), "
                           "mHealth_subject1.log (MHEALTH), Protocol/subject101.dat (PAMAP2), "
                           "'train/Inertial Signals' (UCI HAR), or give a .csv file"
                         : "holds no set that is known, but the folder below does; use " + hint);
}

Result<bool> RowReader::next(Tally& tally) {
  while (true) {
    std::string_view line;
    TRY_ASSIGN(const bool more, lines.next(line));
    if (!more) return false;
    split_fields(line, separator, fields);
    if (fields.empty() || (fields.size() == 1 && fields[0].empty())) continue;
    ++tally.rows_read;
    bool good = fields.size() == columns;
    for (size_t i = 0; good && i < columns; ++i) {
      const std::optional<double> value = parse_reading(fields[i]);
      good = value.has_value();
      if (good) row[i] = *value;
    }
    if (good) return true;
    tally.add(Reason::kRaggedRow, 1, lines.place());
  }
}

Result<void> read_recordings(const std::string& path, Recipe& recipe, Tally& tally,
                             const RunSink& sink) {
  using Read = Result<void> (*)(const std::string&, Recipe&, Tally&, const RunSink&);
  Read read = read_csv;
  switch (recipe.form) {
    case Form::kDsads: read = read_dsads; break;
    case Form::kDsadsCompact: read = read_dsads_compact; break;
    case Form::kMhealth: read = read_mhealth; break;
    case Form::kPamap2: read = read_pamap2; break;
    case Form::kUciHar: read = read_uci_har; break;
    case Form::kCsv: break;
  }
  TRY(read(path, recipe, tally, sink));
  return check_ragged(tally, path);
}

}  // namespace graupel::prepare
