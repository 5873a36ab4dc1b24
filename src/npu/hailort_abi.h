// The part of libhailort's C interface that graupel uses, as it lies in memory.
//
// Idea: only functions and structures that are the same in every release from 4.17 to 4.23; the
// ones that changed (stream and vstream information, NMS shapes, extended device information) are
// not used; shapes and quantisation come from the caller. Sizes are asserted. Power is not asked
// for: the library measures it with the over-current protection switched off.
// Reference: hailort.h of hailo-ai/hailort, tags v4.17.0 to v4.23.0 (MIT); sizes measured there
// with sizeof on x86-64, the same by the rules of the 64-bit ARM ABI. Test: hailort_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>

namespace graupel::npu::abi {

using Status = int;  // hailo_status; 0 is success
using Handle = void*;

struct Version {
  uint32_t major = 0, minor = 0, revision = 0;
};
struct DeviceId {
  char id[32] = {};
};
struct VdeviceParams {
  uint32_t device_count = 0;
  DeviceId* device_ids = nullptr;
  int scheduling_algorithm = 0;
  const char* group_id = nullptr;
  bool multi_process_service = false;
};
struct VstreamParams {
  char name[128] = {};
  int format_type = 0, format_order = 0, format_flags = 0;
  uint32_t timeout_ms = 0, queue_size = 0;
  int vstream_stats = 0, element_stats = 0;
};
struct Identity {
  uint32_t protocol_version = 0;
  Version firmware;
  uint32_t logger_version = 0;
  uint8_t board_name_length = 0;
  char board_name[32] = {};
  bool is_release = false, extended_context_switch_buffer = false;
  int architecture = 0;
  uint8_t serial_number_length = 0;
  char serial_number[16] = {};
  uint8_t part_number_length = 0;
  char part_number[16] = {};
  uint8_t product_name_length = 0;
  char product_name[42] = {};
};
struct Temperature {
  float sensor0_celsius = 0.0f, sensor1_celsius = 0.0f;
  uint16_t sample_count = 0;
};

static_assert(sizeof(Version) == 12 && sizeof(DeviceId) == 32 && sizeof(VdeviceParams) == 40);
static_assert(offsetof(VdeviceParams, device_ids) == 8);
static_assert(offsetof(VdeviceParams, scheduling_algorithm) == 16);
static_assert(offsetof(VdeviceParams, multi_process_service) == 32);
static_assert(sizeof(VstreamParams) == 156 && offsetof(VstreamParams, timeout_ms) == 140);
static_assert(sizeof(Identity) == 140 && offsetof(Identity, firmware) == 4);
static_assert(offsetof(Identity, architecture) == 56 && offsetof(Identity, serial_number) == 61);
static_assert(sizeof(Temperature) == 12);

inline constexpr int kFormatUint8 = 1;
inline constexpr int kFormatUint16 = 2;

// hailo_status numbers; none has moved between 4.17 and 4.23.
enum : Status {
  kTimeout = 4,
  kUnsupportedFirmware = 16,
  kInvalidHef = 26,
  kCommunicationClosed = 62,
  kStreamAbort = 63,
  kDriverNotInstalled = 64,
  kNetworkGroupNotActivated = 69,
  kPipelineNotActivated = 70,
  kStreamNotActivated = 72,
  kDeviceInUse = 73,
  kOutOfPhysicalDevices = 74,
  kInvalidArchitecture = 75,
  kInvalidDriverVersion = 76,
  kInvalidServiceVersion = 78,
  kDriverInvalidIoctl = 86,
  kDriverTimeout = 87,
  kWaitCancelled = 90,
  kHefCorrupted = 91,
  kHefNotSupported = 92,
  kHefNotCompatible = 93,
};

}  // namespace graupel::npu::abi
