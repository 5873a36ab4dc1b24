// A STAND-IN for the vendor's libhailort.so, for tests: same C symbols and structure layouts, no
// device. Built once per imitated release (STANDIN_MAJOR, STANDIN_MINOR).
//
// Idea: a script, handed over through graupel_standin_script(), says which streams the "HEF" has
// and what goes wrong when. Lines:
//   devices N                      what a scan finds (default 1)
//   input NAME BYTES | output NAME BYTES
//   fault POINT STATUS COUNT       the next COUNT calls of POINT give STATUS, then it is well
//   hang POINT MILLISECONDS COUNT  the next COUNT calls of POINT sleep first
// POINT: scan, hef, vdevice, configure, write, read. Output byte i is input byte (i mod size) of
// the last frame of the first input, with every bit flipped. It is strict where the vendor's
// library is: frames of the exact size, known format types, releases in any order but once.
// Layouts are written out here anew, so that a wrong one in hailort_abi.h shows.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#ifndef STANDIN_MAJOR
#define STANDIN_MAJOR 4
#endif

namespace {

struct Stream {
  std::string name;
  size_t size_bytes = 0;
  uint32_t timeout_ms = 0;
};
struct Trouble {
  int status = 0, faults = 0;
  int hang_ms = 0, hangs = 0;
};
struct State {
  std::mutex mutex;
  size_t devices = 1;
  std::vector<Stream> inputs, outputs;
  std::map<std::string, Trouble> troubles;
  int open_handles = 0;
  std::vector<uint8_t> frame;
};
State& state() {
  static State* const the_state = new State;  // a thread may hang in here when the test ends
  return *the_state;
}

int trouble(const char* point) {
  int hang_ms = 0, status = 0;
  {
    const std::lock_guard lock(state().mutex);
    Trouble& t = state().troubles[point];
    if (t.hangs > 0) {
      --t.hangs;
      hang_ms = t.hang_ms;
    }
    if (t.faults > 0) {
      --t.faults;
      status = t.status;
    }
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(hang_ms));
  return status;
}

void put32(void* base, size_t offset, uint32_t value) {
  std::memcpy(static_cast<char*>(base) + offset, &value, sizeof(value));
}
uint32_t get32(const void* base, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, static_cast<const char*>(base) + offset, sizeof(value));
  return value;
}

void* open_handle(void* target) {
  const std::lock_guard lock(state().mutex);
  ++state().open_handles;
  return target;
}
int close_handles(size_t count) {
  const std::lock_guard lock(state().mutex);
  state().open_handles -= static_cast<int>(count);
  return 0;
}

constexpr size_t kParamsBytes = 156;  // hailo_*_vstream_params_by_name_t

int make_params(const std::vector<Stream>& streams, void* params, size_t* count) {
  if (*count < streams.size()) {
    *count = streams.size();
    return 5;
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    char* const at = static_cast<char*>(params) + i * kParamsBytes;
    std::memset(at, 0, kParamsBytes);
    std::memcpy(at, streams[i].name.data(), streams[i].name.size());
    put32(at, 128, 1);
    put32(at, 140, 10000);
    put32(at, 144, 2);
  }
  *count = streams.size();
  return 0;
}

int create_streams(std::vector<Stream>& streams, const void* params, size_t count, void** made) {
  for (size_t i = 0; i < count; ++i) {
    const char* const at = static_cast<const char*>(params) + i * kParamsBytes;
    Stream* found = nullptr;
    for (Stream& stream : streams) {
      if (stream.name == at) found = &stream;
    }
    const uint32_t type = get32(at, 128);
    if (found == nullptr || type < 1 || type > 2 || get32(at, 144) != 2) return 2;
    found->timeout_ms = get32(at, 140);
    made[i] = open_handle(found);
  }
  return 0;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void graupel_standin_script(const char* text) {
  const std::lock_guard lock(state().mutex);
  state().devices = 1;
  state().inputs.clear();
  state().outputs.clear();
  state().troubles.clear();
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string verb, name;
    words >> verb;
    if (verb == "devices") words >> state().devices;
    Stream stream;
    if (verb == "input" && words >> stream.name >> stream.size_bytes) {
      state().inputs.push_back(stream);
    }
    if (verb == "output" && words >> stream.name >> stream.size_bytes) {
      state().outputs.push_back(stream);
    }
    if (verb == "fault" && words >> name) {
      words >> state().troubles[name].status >> state().troubles[name].faults;
    }
    if (verb == "hang" && words >> name) {
      words >> state().troubles[name].hang_ms >> state().troubles[name].hangs;
    }
  }
}
EXPORT int graupel_standin_open_handles() {
  const std::lock_guard lock(state().mutex);
  return state().open_handles;
}
EXPORT int graupel_standin_timeout_ms() {
  const std::lock_guard lock(state().mutex);
  return state().inputs.empty() ? 0 : static_cast<int>(state().inputs[0].timeout_ms);
}

EXPORT int hailo_get_library_version(void* version) {
  put32(version, 0, STANDIN_MAJOR);
  put32(version, 4, STANDIN_MINOR);
  put32(version, 8, 0);
  return 0;
}
EXPORT int hailo_scan_devices(void*, void* ids, size_t* count) {
  if (const int status = trouble("scan")) return status;
  const size_t found = state().devices;
  if (*count < found) return 5;
  for (size_t i = 0; i < found; ++i) {
    char* const id = static_cast<char*>(ids) + i * 32;
    std::memset(id, 0, 32);
    std::strcpy(id, "0001:01:00.0");
  }
  *count = found;
  return 0;
}
EXPORT int hailo_create_hef_buffer(void** hef, const void* bytes, size_t size) {
  if (const int status = trouble("hef")) return status;
  constexpr char kMagic[4] = {1, 'H', 'E', 'F'};
  if (size < 12 || std::memcmp(bytes, kMagic, 4) != 0) return STANDIN_MINOR >= 21 ? 92 : 26;
  *hef = open_handle(&state());
  return 0;
}
EXPORT int hailo_release_hef(void*) { return close_handles(1); }
EXPORT int hailo_init_vdevice_params(void* params) {
  std::memset(params, 0, 40);
  put32(params, 0, 1);
  put32(params, 16, 1);
  static const char kGroup[] = "UNIQUE";
  const char* const group = kGroup;
  std::memcpy(static_cast<char*>(params) + 24, &group, sizeof(group));
  return 0;
}
EXPORT int hailo_create_vdevice(void* params, void** vdevice) {
  if (const int status = trouble("vdevice")) return status;
  const char* id = nullptr;
  std::memcpy(&id, static_cast<char*>(params) + 8, sizeof(id));
  if (get32(params, 0) != 1 || id == nullptr || std::strcmp(id, "0001:01:00.0") != 0) return 2;
  *vdevice = open_handle(&state());
  return 0;
}
EXPORT int hailo_release_vdevice(void*) { return close_handles(1); }
EXPORT int hailo_get_physical_devices(void*, void** devices, size_t* count) {
  if (*count < 1) return 5;
  devices[0] = &state();
  *count = 1;
  return 0;
}
EXPORT int hailo_identify(void*, void* identity) {
  std::memset(identity, 0, 140);
  put32(identity, 4, STANDIN_MAJOR);
  put32(identity, 8, STANDIN_MINOR);
  put32(identity, 56, 1);
  static_cast<uint8_t*>(identity)[60] = 7;
  std::memcpy(static_cast<char*>(identity) + 61, "STANDIN", 7);
  return 0;
}
EXPORT int hailo_get_chip_temperature(void*, void* temperature) {
  const float sensors[2] = {41.5f, 43.25f};
  std::memset(temperature, 0, 12);
  std::memcpy(temperature, sensors, sizeof(sensors));
  return 0;
}
EXPORT int hailo_configure_vdevice(void*, void*, void*, void** groups, size_t* count) {
  if (const int status = trouble("configure")) return status;
  if (*count < 1) return 5;
  groups[0] = &state();
  *count = 1;
  return 0;
}
EXPORT int hailo_make_input_vstream_params(void*, bool, int, void* params, size_t* count) {
  return make_params(state().inputs, params, count);
}
EXPORT int hailo_make_output_vstream_params(void*, bool, int, void* params, size_t* count) {
  return make_params(state().outputs, params, count);
}
EXPORT int hailo_create_input_vstreams(void*, const void* params, size_t count, void** made) {
  return create_streams(state().inputs, params, count, made);
}
EXPORT int hailo_create_output_vstreams(void*, const void* params, size_t count, void** made) {
  return create_streams(state().outputs, params, count, made);
}
EXPORT int hailo_release_input_vstreams(void* const*, size_t count) { return close_handles(count); }
EXPORT int hailo_release_output_vstreams(void* const*, size_t count) {
  return close_handles(count);
}
EXPORT int hailo_get_input_vstream_frame_size(void* stream, size_t* size) {
  *size = static_cast<Stream*>(stream)->size_bytes;
  return 0;
}
EXPORT int hailo_get_output_vstream_frame_size(void* stream, size_t* size) {
  *size = static_cast<Stream*>(stream)->size_bytes;
  return 0;
}
EXPORT int hailo_vstream_write_raw_buffer(void* stream, const void* bytes, size_t size) {
  if (const int status = trouble("write")) return status;
  if (size != static_cast<Stream*>(stream)->size_bytes) return 2;
  const auto* const from = static_cast<const uint8_t*>(bytes);
  if (stream == &state().inputs[0]) state().frame.assign(from, from + size);
  return 0;
}
EXPORT int hailo_vstream_read_raw_buffer(void* stream, void* bytes, size_t size) {
  if (const int status = trouble("read")) return status;
  if (size != static_cast<Stream*>(stream)->size_bytes) return 2;
  if (state().frame.empty()) return 4;
  for (size_t i = 0; i < size; ++i) {
    static_cast<uint8_t*>(bytes)[i] =
        static_cast<uint8_t>(~state().frame[i % state().frame.size()]);
  }
  return 0;
}
