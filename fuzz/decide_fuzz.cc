// Any bytes as a decision block: an error, or a block that is written and read back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "decide/block.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const graupel::Result<graupel::decide::Block> block = graupel::decide::parse_block(text);
  if (!block.ok()) return 0;
  const graupel::Result<std::string> written = graupel::decide::format_block(*block);
  if (!written.ok()) return 0;  // a text that is not UTF-8 is written otherwise than it was read
  if (!(graupel::decide::parse_block(*written).value() == *block)) std::abort();
  return 0;
}
