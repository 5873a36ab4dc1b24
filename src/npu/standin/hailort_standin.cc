// A STAND-IN for the vendor's libhailort.so, for tests: same C symbols and structure layouts, no
// device. Built once per imitated release (STANDIN_MAJOR, STANDIN_MINOR).
//
// Idea: a HEF made by test_hef.h carries the plan of its device part; frames are answered by
// that plan on the CPU (standin_network.h). For any other HEF, output byte i is input byte (i mod
// size) of the first input with every bit flipped. What goes wrong when is a script, handed over
// through graupel_standin_script() or, for a command's process, in $GRAUPEL_STANDIN_SCRIPT. Lines,
// ended by a new line or a semicolon:
//   devices N                              what a scan finds (default 1)
//   input NAME BYTES | output NAME BYTES   the streams of a HEF that carries no plan
//   fault POINT STATUS COUNT [AFTER]       AFTER calls of POINT are well, COUNT give STATUS
//   hang POINT MILLISECONDS COUNT [AFTER]  the same, but they sleep first
// POINT: scan, hef, vdevice, configure, write, read. It is strict where the vendor's library is:
// frames of the exact size, known format types, headers its release reads, releases once. A closed
// stream that a hung thread still writes to is a stream of its own and disturbs nobody.
// Layouts are written out here anew, so that a wrong one in hailort_abi.h shows.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "npu/standin/standin_network.h"

#ifndef STANDIN_MAJOR
#define STANDIN_MAJOR 4
#endif

namespace {

using graupel::npu::StandinNetwork;
using Frame = std::vector<uint8_t>;

struct Trouble {
  int after = 0, count = 0;
  int status = 0, hang_ms = 0;
};
// A configured network: its streams by name and size, and what it computes.
struct Session {
  struct Named {
    std::string name;
    size_t size_bytes = 0;
  };
  std::vector<Named> inputs, outputs;
  std::mutex mutex;
  std::optional<StandinNetwork> network;
  std::vector<Frame> given, answers;  // per stream; answers are empty until asked for
};
struct Stream {
  std::shared_ptr<Session> session;
  size_t index = 0;
  size_t size_bytes = 0;
};
struct State {
  std::mutex mutex;
  size_t devices = 1;
  std::vector<Session::Named> inputs, outputs;
  std::map<std::string, std::vector<Trouble>> troubles;
  int open_handles = 0;
  uint32_t timeout_ms = 0;
  std::map<void*, std::string> hefs;
  std::map<void*, std::shared_ptr<Session>> sessions;  // by group
  std::map<void*, std::shared_ptr<Stream>> streams;
  uintptr_t next_handle = 0x1000;
};

void read_script(State& state, std::string text) {
  state.devices = 1;
  state.inputs.clear();
  state.outputs.clear();
  state.troubles.clear();
  for (char& c : text) c = c == ';' ? '\n' : c;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string verb, name;
    words >> verb;
    if (verb == "devices") words >> state.devices;
    Session::Named stream;
    if (verb == "input" && words >> stream.name >> stream.size_bytes) {
      state.inputs.push_back(stream);
    }
    if (verb == "output" && words >> stream.name >> stream.size_bytes) {
      state.outputs.push_back(stream);
    }
    Trouble trouble;
    if ((verb == "fault" || verb == "hang") && words >> name) {
      words >> (verb == "hang" ? trouble.hang_ms : trouble.status) >> trouble.count;
      if (!(words >> trouble.after)) trouble.after = 0;
      state.troubles[name].push_back(trouble);
    }
  }
}

State& state() {
  // A thread may hang in here when the test ends.
  static State* const the_state = [] {
    auto* const made = new State;
    const char* const script = std::getenv("GRAUPEL_STANDIN_SCRIPT");
    if (script != nullptr) read_script(*made, script);
    return made;
  }();
  return *the_state;
}

int trouble(const char* point) {
  int hang_ms = 0, status = 0;
  {
    const std::lock_guard lock(state().mutex);
    for (Trouble& t : state().troubles[point]) {
      if (t.after > 0) {
        --t.after;
      } else if (t.count > 0) {
        --t.count;
        hang_ms = std::max(hang_ms, t.hang_ms);
        if (t.status != 0) status = t.status;
      }
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

void* open_handle() {
  const std::lock_guard lock(state().mutex);
  ++state().open_handles;
  return reinterpret_cast<void*>(state().next_handle += 16);
}
int close_handles(size_t count) {
  const std::lock_guard lock(state().mutex);
  state().open_handles -= static_cast<int>(count);
  return 0;
}

std::shared_ptr<Session> session_of(void* group) {
  const std::lock_guard lock(state().mutex);
  const auto found = state().sessions.find(group);
  return found == state().sessions.end() ? nullptr : found->second;
}
std::shared_ptr<Stream> stream_of(void* handle) {
  const std::lock_guard lock(state().mutex);
  const auto found = state().streams.find(handle);
  return found == state().streams.end() ? nullptr : found->second;
}

constexpr size_t kParamsBytes = 156;  // hailo_*_vstream_params_by_name_t

int make_params(const std::vector<Session::Named>& streams, void* params, size_t* count) {
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

int create_streams(void* group, bool inputs, const void* params, size_t count, void** made) {
  const std::shared_ptr<Session> session = session_of(group);
  if (session == nullptr) return 2;
  const std::vector<Session::Named>& streams = inputs ? session->inputs : session->outputs;
  for (size_t i = 0; i < count; ++i) {
    const char* const at = static_cast<const char*>(params) + i * kParamsBytes;
    size_t index = 0;
    while (index < streams.size() && streams[index].name != at) ++index;
    const uint32_t type = get32(at, 128);
    if (index == streams.size() || type < 1 || type > 2 || get32(at, 144) != 2) return 2;
    made[i] = open_handle();
    const std::lock_guard lock(state().mutex);
    state().streams[made[i]] =
        std::make_shared<Stream>(Stream{session, index, streams[index].size_bytes});
    state().timeout_ms = get32(at, 140);
  }
  return 0;
}
int release_streams(void* const* handles, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const std::lock_guard lock(state().mutex);
    state().streams.erase(handles[i]);
  }
  return close_handles(count);
}

Frame flipped(const Frame& given, size_t size) {
  Frame frame(size);
  for (size_t i = 0; i < size; ++i) frame[i] = static_cast<uint8_t>(~given[i % given.size()]);
  return frame;
}

// Needs the session's lock. False before every input was written.
bool compute(Session& session) {
  if (!session.answers.empty()) return true;
  for (const Frame& frame : session.given) {
    if (frame.empty()) return false;
  }
  if (session.network) {
    session.answers = graupel::npu::standin_infer(*session.network, session.given);
  } else {
    for (const Session::Named& output : session.outputs) {
      session.answers.push_back(flipped(session.given[0], output.size_bytes));
    }
  }
  return !session.answers.empty();
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void graupel_standin_script(const char* text) {
  const std::lock_guard lock(state().mutex);
  read_script(state(), text);
}
EXPORT int graupel_standin_open_handles() {
  const std::lock_guard lock(state().mutex);
  return state().open_handles;
}
EXPORT int graupel_standin_timeout_ms() {
  const std::lock_guard lock(state().mutex);
  return static_cast<int>(state().timeout_ms);
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
  constexpr uint8_t kNewest = STANDIN_MINOR < 18   ? 0
                              : STANDIN_MINOR < 20 ? 1
                              : STANDIN_MINOR < 21 ? 2
                                                   : 3;
  const auto* const header = static_cast<const uint8_t*>(bytes);
  if (size < 12 || std::memcmp(bytes, kMagic, 4) != 0 || header[7] > kNewest) {
    return STANDIN_MINOR >= 21 ? 92 : 26;
  }
  *hef = open_handle();
  const std::lock_guard lock(state().mutex);
  state().hefs[*hef] = std::string(static_cast<const char*>(bytes), size);
  return 0;
}
EXPORT int hailo_release_hef(void* hef) {
  {
    const std::lock_guard lock(state().mutex);
    state().hefs.erase(hef);
  }
  return close_handles(1);
}
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
  *vdevice = open_handle();
  return 0;
}
EXPORT int hailo_release_vdevice(void* vdevice) {
  {
    const std::lock_guard lock(state().mutex);
    state().sessions.erase(vdevice);
  }
  return close_handles(1);
}
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
// One network per device here, so the device's handle is the group's.
EXPORT int hailo_configure_vdevice(void* vdevice, void* hef, void*, void** groups, size_t* count) {
  if (const int status = trouble("configure")) return status;
  if (*count < 1) return 5;
  const auto session = std::make_shared<Session>();
  std::string bytes;
  {
    const std::lock_guard lock(state().mutex);
    const auto found = state().hefs.find(hef);
    if (found == state().hefs.end()) return 2;
    bytes = found->second;
    session->inputs = state().inputs;
    session->outputs = state().outputs;
  }
  session->network = graupel::npu::standin_network(bytes);
  if (session->network) {
    session->inputs.clear();
    session->outputs.clear();
    for (const auto& s : session->network->inputs) {
      session->inputs.push_back({s.name, s.frame_bytes()});
    }
    for (const auto& s : session->network->outputs) {
      session->outputs.push_back({s.name, s.frame_bytes()});
    }
  }
  session->given.resize(session->inputs.size());
  const std::lock_guard lock(state().mutex);
  state().sessions[vdevice] = session;
  groups[0] = vdevice;
  *count = 1;
  return 0;
}
EXPORT int hailo_make_input_vstream_params(void* group, bool, int, void* params, size_t* count) {
  const std::shared_ptr<Session> session = session_of(group);
  return session == nullptr ? 2 : make_params(session->inputs, params, count);
}
EXPORT int hailo_make_output_vstream_params(void* group, bool, int, void* params, size_t* count) {
  const std::shared_ptr<Session> session = session_of(group);
  return session == nullptr ? 2 : make_params(session->outputs, params, count);
}
EXPORT int hailo_create_input_vstreams(void* group, const void* params, size_t count, void** made) {
  return create_streams(group, true, params, count, made);
}
EXPORT int hailo_create_output_vstreams(void* group, const void* params, size_t count,
                                        void** made) {
  return create_streams(group, false, params, count, made);
}
EXPORT int hailo_release_input_vstreams(void* const* handles, size_t count) {
  return release_streams(handles, count);
}
EXPORT int hailo_release_output_vstreams(void* const* handles, size_t count) {
  return release_streams(handles, count);
}
EXPORT int hailo_get_input_vstream_frame_size(void* handle, size_t* size) {
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (stream == nullptr) return 2;
  *size = stream->size_bytes;
  return 0;
}
EXPORT int hailo_get_output_vstream_frame_size(void* handle, size_t* size) {
  return hailo_get_input_vstream_frame_size(handle, size);
}
EXPORT int hailo_vstream_write_raw_buffer(void* handle, const void* bytes, size_t size) {
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (stream == nullptr || size != stream->size_bytes) return 2;
  if (const int status = trouble("write")) return status;
  const auto* const from = static_cast<const uint8_t*>(bytes);
  const std::lock_guard lock(stream->session->mutex);
  stream->session->given[stream->index].assign(from, from + size);
  stream->session->answers.clear();
  return 0;
}
EXPORT int hailo_vstream_read_raw_buffer(void* handle, void* bytes, size_t size) {
  const std::shared_ptr<Stream> stream = stream_of(handle);
  if (stream == nullptr || size != stream->size_bytes) return 2;
  if (const int status = trouble("read")) return status;
  const std::lock_guard lock(stream->session->mutex);
  if (!compute(*stream->session)) return 4;
  std::memcpy(bytes, stream->session->answers[stream->index].data(), size);
  return 0;
}
