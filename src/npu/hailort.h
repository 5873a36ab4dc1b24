// A Hailo-8 through the vendor's libhailort.so, loaded while running.
//
// Idea: nothing of the vendor's is needed to build. Opening looks for the library, asks its
// version, opens the device, configures it with the HEF and makes one virtual stream per input and
// output, each with frames in the HEF's own integers; quantising is graupel's. The library is never
// unloaded: a thread may hang in it. It writes hailort.log into the working folder unless the
// environment says HAILORT_LOGGER_PATH=NONE.
// Reference: hailort_abi.h. Test: hailort_test.cc, against stand-ins of three releases
// (standin/); no device and no library of the vendor's was ever used here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "npu/worker.h"

namespace graupel::npu {

struct Stream {
  std::string name;       // of the HEF's virtual stream
  size_t size_bytes = 0;  // of a frame
  int element_bytes = 1;  // 1 or 2
};

struct HailortOptions {
  std::string library;  // a path; empty: $GRAUPEL_HAILORT, else the loader's folders
  std::string hef;      // the file's bytes, checked by the caller
  std::vector<Stream> inputs, outputs;
  uint32_t timeout_ms = 800;  // of one read or write; below the deadline of the call
};

// Opens when called, on the worker's thread. Faults: kNoLibrary, kUnsupportedLibrary (anything but
// 4.17 to 4.23), kNoDevice, kDeviceInUse, kVersionMismatch, kHefRefused (also: its streams are not
// those of `options`), kWrongArchitecture, kFailed.
OpenDevice hailort_device(HailortOptions options);

// What a status means; `devices` is how many a scan has found.
Reason reason_of_status(int status, size_t devices);

}  // namespace graupel::npu
