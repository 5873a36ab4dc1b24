// Fuzzes the model script reader: no bytes crash it; what it accepts is written back byte for byte;
// and what it understood of each statement is all of it: the statement written from its parts reads
// back as the same parts, and checking it against anything ends.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "hailo/script.h"
#include "hailo/script_check.h"

namespace hailo = graupel::hailo;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const graupel::Result<hailo::Script> script = hailo::parse_script(input);
  if (!script.ok()) return 0;
  if (hailo::format_script(*script) != input) std::abort();
  for (const hailo::Statement& statement : script->statements) {
    const graupel::Result<hailo::Script> again =
        hailo::parse_script(hailo::format_statement(statement));
    if (!again.ok() || again->statements.size() != 1) std::abort();
    const hailo::Statement& read = again->statements[0];
    if (read.names != statement.names || read.scope != statement.scope ||
        read.command != statement.command || read.arguments != statement.arguments) {
      std::abort();
    }
  }
  hailo::check_script(*script, {.layers = std::vector<std::string>{"conv1", "fc1"}});
  return 0;
}
