// Fuzzes the readers of recordings: the first byte chooses what the rest is read as.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/result.h"
#include "prepare/readers.h"
#include "prepare/runs.h"

namespace {

using namespace graupel;
using namespace graupel::prepare;

constexpr size_t kMostRows = 4096;  // of a run that is interpolated here

// The general form, as far as an even grid.
void read_as_csv(std::string_view text) {
  RecipeOptions options;
  options.sensors = {"a", "b"};
  options.labels = LabelSet::kAll;
  Result<Recipe> recipe = make_recipe(Form::kCsv, options, "", "");
  if (!recipe.ok()) std::abort();
  Tally tally;
  size_t rows = 0;
  (void)read_csv_text(text, *recipe, tally, [&](RawRun&& run) -> Result<void> {
    rows += run.sensors[0].rows();
    if (run.sensors.size() != 2 || run.label < 0) std::abort();
    if (run.sensors[0].rows() > kMostRows) return ok();
    const Result<std::vector<EvenRun>> even = even_runs(run, *recipe, tally);
    if (!even.ok()) return ok();
    for (const EvenRun& piece : *even) {
      for (const double value : piece.values) {
        if (!(value == value)) std::abort();  // nothing is missing any more
      }
    }
    return ok();
  });
  if (rows > text.size()) std::abort();
}

void read_as_rows(std::string_view text, Separator separator, size_t columns) {
  RowReader rows{
      LineReader::over(text, "text"), separator, columns, std::vector<double>(columns), {}};
  Tally tally;
  while (true) {
    const Result<bool> more = rows.next(tally);
    if (!more.ok() || !*more) break;
  }
  if (tally.rows_read > static_cast<int64_t>(text.size())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  switch (bytes[0] % 4) {
    case 0: read_as_csv(text); break;
    case 1: read_as_rows(text, Separator::kComma, 3); break;
    case 2: read_as_rows(text, Separator::kBlank, 4); break;
    default: (void)make_recipe(Form::kDsads, {}, text, "config.toml"); break;
  }
  return 0;
}
