// Fuzzes the npz reader: no input crashes it or unpacks to more than deflate can pack.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "data/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using graupel::data::NamedTensor;
  const graupel::Result<std::vector<NamedTensor>> arrays =
      graupel::data::parse_npz({reinterpret_cast<const char*>(bytes), size});
  if (!arrays.ok()) return 0;
  size_t total = 0;
  for (const NamedTensor& array : *arrays) total += array.tensor.size_bytes();
  if (total > 1033 * size + 1024) std::abort();
  return 0;
}
