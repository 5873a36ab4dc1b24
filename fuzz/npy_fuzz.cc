// Fuzzes the npy reader: no input crashes it, and what it accepts survives being written and read.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "data/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using graupel::Result;
  using graupel::Tensor;
  const Result<Tensor> tensor =
      graupel::data::parse_npy({reinterpret_cast<const char*>(bytes), size});
  if (!tensor.ok()) return 0;
  if (tensor->size_bytes() > size) std::abort();
  const Result<Tensor> again = graupel::data::parse_npy(graupel::data::format_npy(*tensor));
  if (!again.ok() || !(*again == *tensor)) std::abort();
  return 0;
}
