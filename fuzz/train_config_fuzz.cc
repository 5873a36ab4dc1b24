// Descriptions of training runs: any text gives a configuration in range or an error; what is
// accepted is written and read back as itself, and no network of it asks for memory without bound.
// The quantizer's JSON, which training reads too, gets the same bytes.
#include <cstdint>
#include <string>
#include <string_view>

#include "train/config.h"
#include "train/export.h"
#include "train/train.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace graupel::train;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)parse_integer_forms(text, "fuzz");
  const auto config = parse_config(text, "fuzz");
  if (!config.ok()) return 0;
  const auto again = parse_config(format_config(*config), "again");
  if (!again.ok() || !(*again == *config)) __builtin_trap();
  (void)weight_shapes(config->network, {9, 2, 100}, 10);
  return 0;
}
