// Fuzzes the CSV reader, for windows of one value (as labels are read) and of three.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "data/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  for (const int64_t values : {1, 3}) {
    const graupel::Result<graupel::data::CsvWindows> windows =
        graupel::data::parse_csv_windows(text, values);
    if (windows.ok() && windows->values.size() > size) std::abort();
  }
  return 0;
}
