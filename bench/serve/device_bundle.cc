// For the schedule of device faults: a small bundle with a HEF that the STAND-IN for the device's
// library can run, and a request for it.
//
//   device_bundle BUNDLE BODY
//
// Idea: what crosses to and from the device has exactly the device part's own 8 bits, so the
// device's answer and the CPU's have to be the same bytes. Used by serve_bench.py.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "npu/test_bundle.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: device_bundle BUNDLE BODY\n");
    return 2;
  }
  using namespace graupel;
  const npu::TestBundle made = npu::exact_bundle(2);
  const nlohmann::json input = {{"name", "raw"},
                                {"shape", made.window},
                                {"datatype", "FP32"},
                                {"data", npu::test_window(made, 1)}};
  const std::string body = nlohmann::json({{"inputs", nlohmann::json::array({input})}}).dump();
  for (const Result<void>& written :
       {bundle::write_bundle(argv[1], made.bundle), write_file_atomic(argv[2], body)}) {
    if (written.ok()) continue;
    std::fprintf(stderr, "device_bundle: %s\n", written.error().message().c_str());
    return 1;
  }
  return 0;
}
