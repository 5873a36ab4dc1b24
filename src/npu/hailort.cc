// Driving libhailort.so. See hailort.h. Test: hailort_test.cc.
#include "npu/hailort.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "npu/hailort_abi.h"

namespace graupel::npu {
namespace {

using abi::Handle;
using abi::Status;

struct Api {
  std::string path;
  abi::Version version;
  Status (*get_library_version)(abi::Version*);
  Status (*scan_devices)(void*, abi::DeviceId*, size_t*);
  Status (*create_hef_buffer)(Handle*, const void*, size_t);
  Status (*release_hef)(Handle);
  Status (*init_vdevice_params)(abi::VdeviceParams*);
  Status (*create_vdevice)(abi::VdeviceParams*, Handle*);
  Status (*release_vdevice)(Handle);
  Status (*get_physical_devices)(Handle, Handle*, size_t*);
  Status (*identify)(Handle, abi::Identity*);
  Status (*get_chip_temperature)(Handle, abi::Temperature*);
  Status (*configure_vdevice)(Handle, Handle, void*, Handle*, size_t*);
  Status (*make_input_vstream_params)(Handle, bool, int, abi::VstreamParams*, size_t*);
  Status (*make_output_vstream_params)(Handle, bool, int, abi::VstreamParams*, size_t*);
  Status (*create_input_vstreams)(Handle, const abi::VstreamParams*, size_t, Handle*);
  Status (*create_output_vstreams)(Handle, const abi::VstreamParams*, size_t, Handle*);
  Status (*release_input_vstreams)(const Handle*, size_t);
  Status (*release_output_vstreams)(const Handle*, size_t);
  Status (*get_input_vstream_frame_size)(Handle, size_t*);
  Status (*get_output_vstream_frame_size)(Handle, size_t*);
  Status (*vstream_write_raw_buffer)(Handle, const void*, size_t);
  Status (*vstream_read_raw_buffer)(Handle, void*, size_t);
};

template <class Function>
bool find_symbol(void* library, const char* name, Function& function) {
  void* const address = dlsym(library, name);
  static_assert(sizeof(address) == sizeof(function));
  std::memcpy(&function, &address, sizeof(function));
  return address != nullptr;
}

// The name of a function that is missing, or empty.
std::string find_symbols(void* library, Api& api) {
  std::string missing;
#define FIND(name) \
  if (!find_symbol(library, "hailo_" #name, api.name)) missing = "hailo_" #name;
  FIND(get_library_version)
  FIND(scan_devices)
  FIND(create_hef_buffer)
  FIND(release_hef)
  FIND(init_vdevice_params)
  FIND(create_vdevice)
  FIND(release_vdevice)
  FIND(get_physical_devices)
  FIND(identify)
  FIND(get_chip_temperature)
  FIND(configure_vdevice)
  FIND(make_input_vstream_params)
  FIND(make_output_vstream_params)
  FIND(create_input_vstreams)
  FIND(create_output_vstreams)
  FIND(release_input_vstreams)
  FIND(release_output_vstreams)
  FIND(get_input_vstream_frame_size)
  FIND(get_output_vstream_frame_size)
  FIND(vstream_write_raw_buffer)
  FIND(vstream_read_raw_buffer)
#undef FIND
  return missing;
}

// The file name of a release holds its whole number, and the plain name may not be installed.
std::variant<Api, Fault> load_library(std::string path) {
  // For a library at an unusual place.
  if (const char* const named = std::getenv("GRAUPEL_HAILORT"); path.empty() && named != nullptr) {
    path = named;
  }
  std::vector<std::string> names = {path};
  if (path.empty()) {
    names = {"libhailort.so"};
    for (int minor = 23; minor >= 17; --minor) {
      for (int revision = 2; revision >= 0; --revision) {
        names.push_back(fmt::format("libhailort.so.4.{}.{}", minor, revision));
      }
    }
  }
  for (const std::string& name : names) {
    void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) continue;
    Api api;
    api.path = name;
    if (!find_symbol(library, "hailo_get_library_version", api.get_library_version) ||
        api.get_library_version(&api.version) != 0) {
      return Fault{Reason::kUnsupportedLibrary, name + " does not tell its version"};
    }
    const abi::Version& v = api.version;
    const std::string version = fmt::format("{} is {}.{}.{}", name, v.major, v.minor, v.revision);
    if (v.major != 4 || v.minor < 17 || v.minor > 23) {
      return Fault{Reason::kUnsupportedLibrary,
                   version + "; graupel drives 4.17 to 4.23" +
                       (v.major >= 5 ? " (5.x is for Hailo-10 and -15, not for a Hailo-8)" : "")};
    }
    const std::string missing = find_symbols(library, api);
    if (missing.empty()) return api;
    return Fault{Reason::kUnsupportedLibrary, version + ", but has no " + missing};
  }
  if (!path.empty()) return Fault{Reason::kNoLibrary, path + " cannot be loaded"};
  return Fault{Reason::kNoLibrary,
               "libhailort.so was not found; on Raspberry Pi OS: apt install hailo-all"};
}

// Everything that was opened; released in the vendor's order, on the thread that used it.
struct Session {
  Api api;
  HailortOptions options;
  size_t devices = 0;
  Handle hef = nullptr, vdevice = nullptr, group = nullptr, device = nullptr;
  std::vector<Handle> inputs, outputs;

  ~Session() {
    if (!outputs.empty()) api.release_output_vstreams(outputs.data(), outputs.size());
    if (!inputs.empty()) api.release_input_vstreams(inputs.data(), inputs.size());
    if (hef != nullptr) api.release_hef(hef);
    if (vdevice != nullptr) api.release_vdevice(vdevice);
  }
};

std::optional<Fault> fault_of(const Session& session, Status status, const char* function) {
  if (status == 0) return std::nullopt;
  return Fault{reason_of_status(status, session.devices),
               fmt::format("hailo_{} gave status {}", function, status)};
}

#define CALL(session, function, ...)                                                           \
  if (auto fault = fault_of(session, (session).api.function(__VA_ARGS__), #function); fault) { \
    return fault;                                                                              \
  }

// Streams are found by name: the library's order is its own.
std::optional<Fault> set_params(std::vector<abi::VstreamParams>& params,
                                const std::vector<Stream>& streams, uint32_t timeout_ms) {
  if (params.size() != streams.size()) {
    return Fault{Reason::kHefRefused,
                 fmt::format("the library sees {} streams in the HEF where graupel sees {}",
                             params.size(), streams.size())};
  }
  std::vector<abi::VstreamParams> ordered;
  for (const Stream& stream : streams) {
    const auto found = std::find_if(params.begin(), params.end(), [&](const auto& p) {
      return stream.name == std::string(p.name, strnlen(p.name, sizeof(p.name)));
    });
    if (found == params.end()) {
      return Fault{Reason::kHefRefused, "the library sees no stream " + stream.name};
    }
    ordered.push_back(*found);
    ordered.back().format_type = stream.element_bytes == 2 ? abi::kFormatUint16 : abi::kFormatUint8;
    ordered.back().timeout_ms = timeout_ms;
  }
  params = std::move(ordered);
  return std::nullopt;
}

std::optional<Fault> check_frame(const Stream& stream, size_t size_bytes) {
  if (size_bytes == stream.size_bytes) return std::nullopt;
  return Fault{Reason::kHefRefused,
               fmt::format("frames of {} have {} bytes in the library and {} in graupel",
                           stream.name, size_bytes, stream.size_bytes)};
}

std::optional<Fault> make_streams(Session& s) {
  constexpr size_t kMaxStreams = 40;
  std::vector<abi::VstreamParams> in(kMaxStreams), out(kMaxStreams);
  size_t count = kMaxStreams;
  CALL(s, make_input_vstream_params, s.group, false, abi::kFormatUint8, in.data(), &count);
  in.resize(std::min(count, kMaxStreams));
  count = kMaxStreams;
  CALL(s, make_output_vstream_params, s.group, false, abi::kFormatUint8, out.data(), &count);
  out.resize(std::min(count, kMaxStreams));
  if (auto fault = set_params(in, s.options.inputs, s.options.timeout_ms)) return fault;
  if (auto fault = set_params(out, s.options.outputs, s.options.timeout_ms)) return fault;
  std::vector<Handle> inputs(in.size()), outputs(out.size());
  CALL(s, create_input_vstreams, s.group, in.data(), in.size(), inputs.data());
  s.inputs = inputs;
  CALL(s, create_output_vstreams, s.group, out.data(), out.size(), outputs.data());
  s.outputs = outputs;
  size_t size_bytes = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    CALL(s, get_input_vstream_frame_size, inputs[i], &size_bytes);
    if (auto fault = check_frame(s.options.inputs[i], size_bytes)) return fault;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    CALL(s, get_output_vstream_frame_size, outputs[i], &size_bytes);
    if (auto fault = check_frame(s.options.outputs[i], size_bytes)) return fault;
  }
  return std::nullopt;
}

std::optional<Fault> open_session(Session& s, abi::DeviceId& id) {
  std::array<abi::DeviceId, 32> ids;
  size_t count = ids.size();
  CALL(s, scan_devices, nullptr, ids.data(), &count);
  s.devices = std::min(count, ids.size());
  if (s.devices == 0) {
    return Fault{Reason::kNoDevice, "no Hailo device was found; is its driver loaded?"};
  }
  id = ids[0];
  CALL(s, create_hef_buffer, &s.hef, s.options.hef.data(), s.options.hef.size());
  abi::VdeviceParams params;
  CALL(s, init_vdevice_params, &params);
  params.device_count = 1;
  params.device_ids = &id;
  CALL(s, create_vdevice, &params, &s.vdevice);
  std::array<Handle, 8> groups{};
  count = groups.size();
  CALL(s, configure_vdevice, s.vdevice, s.hef, nullptr, groups.data(), &count);
  if (count != 1) {
    return Fault{Reason::kHefRefused, fmt::format("the HEF has {} network groups, not 1", count)};
  }
  s.group = groups[0];
  return make_streams(s);
}

#undef CALL

std::string text_of(const char* text, size_t size) {
  return std::string(text, strnlen(text, size));
}

std::string architecture_name(int number) {
  constexpr std::array<const char*, 4> kNames = {"HAILO8_A0", "HAILO8", "HAILO8L", "HAILO15H"};
  const bool known = number >= 0 && static_cast<size_t>(number) < kNames.size();
  return known ? kNames[static_cast<size_t>(number)] : fmt::format("architecture {}", number);
}

DeviceInfo describe(Session& s, const abi::DeviceId& id) {
  const abi::Version& v = s.api.version;
  DeviceInfo info;
  info.library = fmt::format("{}.{}.{}", v.major, v.minor, v.revision);
  info.id = text_of(id.id, sizeof(id.id));
  std::array<Handle, 32> devices{};
  size_t count = devices.size();
  abi::Identity identity;
  if (s.api.get_physical_devices(s.vdevice, devices.data(), &count) == 0 && count > 0) {
    s.device = devices[0];
  }
  if (s.device != nullptr && s.api.identify(s.device, &identity) == 0) {
    const abi::Version& f = identity.firmware;
    info.firmware = fmt::format("{}.{}.{}", f.major, f.minor, f.revision);
    info.architecture = architecture_name(identity.architecture);
    info.serial = text_of(identity.serial_number, sizeof(identity.serial_number));
  }
  info.name = fmt::format("hailort/{}", info.library);
  if (!info.architecture.empty()) info.name += " " + info.architecture;
  return info;
}

Vitals read_vitals(Session& s) {
  Vitals vitals;
  if (s.device == nullptr) return vitals;
  abi::Temperature t;
  if (s.api.get_chip_temperature(s.device, &t) == 0) {
    vitals.temperature_celsius = std::max(t.sensor0_celsius, t.sensor1_celsius);
  }
  return vitals;
}

Called infer(Session& s, const Frames& in) {
  if (in.size() != s.inputs.size()) return Fault{Reason::kFailed, "frames do not fit the streams"};
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i].size() != s.options.inputs[i].size_bytes) {
      return Fault{Reason::kFailed, "a frame does not fit " + s.options.inputs[i].name};
    }
    const Status status = s.api.vstream_write_raw_buffer(s.inputs[i], in[i].data(), in[i].size());
    if (auto fault = fault_of(s, status, "vstream_write_raw_buffer")) return *fault;
  }
  Frames out;
  for (size_t i = 0; i < s.outputs.size(); ++i) {
    std::vector<std::byte>& frame = out.emplace_back(s.options.outputs[i].size_bytes);
    const Status status = s.api.vstream_read_raw_buffer(s.outputs[i], frame.data(), frame.size());
    if (auto fault = fault_of(s, status, "vstream_read_raw_buffer")) return *fault;
  }
  return out;
}

Opened open_hailort(const HailortOptions& options) {
  std::variant<Api, Fault> loaded = load_library(options.library);
  if (Fault* fault = std::get_if<Fault>(&loaded)) return *std::move(fault);
  const auto session = std::make_shared<Session>();
  session->api = *std::get_if<Api>(&loaded);
  session->options = options;
  abi::DeviceId id;
  if (auto fault = open_session(*session, id)) return *std::move(fault);
  Device device;
  device.info = describe(*session, id);
  device.infer = [session](const Frames& frames) { return infer(*session, frames); };
  device.vitals = [session] { return read_vitals(*session); };
  return device;
}

}  // namespace

Reason reason_of_status(int status, size_t devices) {
  switch (status) {
    case 0: return Reason::kNone;
    case abi::kTimeout:
    case abi::kDriverTimeout: return Reason::kTimeout;
    case abi::kCommunicationClosed:
    case abi::kStreamAbort:
    case abi::kNetworkGroupNotActivated:
    case abi::kPipelineNotActivated:
    case abi::kStreamNotActivated:
    case abi::kWaitCancelled: return Reason::kAborted;
    case abi::kDriverNotInstalled: return Reason::kNoDevice;
    case abi::kDeviceInUse: return Reason::kDeviceInUse;
    // The same number for "there is none" and "another process holds it".
    case abi::kOutOfPhysicalDevices: return devices > 0 ? Reason::kDeviceInUse : Reason::kNoDevice;
    case abi::kUnsupportedFirmware:
    case abi::kInvalidDriverVersion:
    case abi::kInvalidServiceVersion:
    case abi::kDriverInvalidIoctl: return Reason::kVersionMismatch;
    case abi::kInvalidHef:
    case abi::kHefCorrupted:
    case abi::kHefNotSupported: return Reason::kHefRefused;
    case abi::kInvalidArchitecture:
    case abi::kHefNotCompatible: return Reason::kWrongArchitecture;
    default: return Reason::kFailed;
  }
}

OpenDevice hailort_device(HailortOptions options) {
  return [options = std::move(options)] { return open_hailort(options); };
}

}  // namespace graupel::npu
