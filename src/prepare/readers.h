// Reading recordings: the published sets as they are downloaded, and a general CSV form.
//
// Idea: one function per form, each giving runs to the sink in a fixed order (person by person), so
// that the same files give the same windows. Expected layouts: docs/data.md.
// Test: readers_test.cc (small files of the exact form), readers_real_test.cc (a published sample).
#pragma once

#include <string>

#include "base/result.h"
#include "prepare/lines.h"
#include "prepare/recipe.h"
#include "prepare/recording.h"

namespace graupel::prepare {

// Reads what lies at `path` in recipe.form. The recipe gains classes where labels are discovered.
// Errors: kIo; kInvalidInput for a folder that is not of the form (what was found and expected),
// a label the map does not know, too many ragged rows, a sensor the files do not have.
Result<void> read_recordings(const std::string& path, Recipe& recipe, Tally& tally,
                             const RunSink& sink);

// The forms one by one; read_recordings chooses. `path` is the folder, or the file of kDsadsCompact
// and kCsv.
Result<void> read_dsads(const std::string& path, Recipe& recipe, Tally& tally, const RunSink& sink);
Result<void> read_dsads_compact(const std::string& path, Recipe& recipe, Tally& tally,
                                const RunSink& sink);
Result<void> read_mhealth(const std::string& path, Recipe& recipe, Tally& tally,
                          const RunSink& sink);
Result<void> read_pamap2(const std::string& path, Recipe& recipe, Tally& tally,
                         const RunSink& sink);
Result<void> read_uci_har(const std::string& path, Recipe& recipe, Tally& tally,
                          const RunSink& sink);
Result<void> read_csv(const std::string& path, Recipe& recipe, Tally& tally, const RunSink& sink);
// The same from a text in memory.
Result<void> read_csv_text(std::string_view text, Recipe& recipe, Tally& tally,
                           const RunSink& sink);

// Rows of numbers, `columns` each: reads the next good row into `row`, counting ragged ones.
// False at the end. Blank lines are skipped.
struct RowReader {
  LineReader lines;
  Separator separator = Separator::kComma;
  size_t columns = 0;
  std::vector<double> row;
  std::vector<std::string_view> fields;

  Result<bool> next(Tally& tally);
};

}  // namespace graupel::prepare
