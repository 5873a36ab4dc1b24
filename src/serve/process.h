// What this process uses of the machine, under the names every Prometheus client exports.
// Reference: proc(5); Prometheus, "Writing client libraries", process metrics. Test:
// process_test.cc.
#pragma once

#include <cstdint>

namespace graupel::serve {

// A number that the system does not tell is 0.
struct ProcessUse {
  double cpu_seconds = 0.0;  // user and system, all threads
  int64_t resident_bytes = 0;
  int64_t virtual_bytes = 0;
  int64_t open_files = 0;
  int64_t open_files_limit = 0;
  int64_t threads = 0;
};
ProcessUse process_use();

}  // namespace graupel::serve
