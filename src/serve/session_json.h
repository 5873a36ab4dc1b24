// What clients of sessions send: bodies of /api/v1/analysis and WebSocket messages, as one value.
// Forms and fields: docs/sessions.md. Test: sessions_test.cc, fuzz/serve_session_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/timeline.h"

namespace graupel::serve {

// Form A writes sessionId, form B session_id.
enum class SessionForm : uint8_t { kA, kB };

// The three quantities of a sensor; a sample has at least one of them.
enum : uint8_t { kAcceleration = 1, kRotation = 2, kField = 4 };

struct SessionSample {
  uint32_t sensor = 0;
  uint8_t given = 0;  // kAcceleration | ...
  Sample sample;      // what is not given is 0
};

struct SessionMessage {
  std::string type;  // of a WebSocket message
  SessionForm form = SessionForm::kA;
  std::string session_id;
  std::string auth_token;
  std::string feed;
  std::string model, model_version;  // of start; empty: the server's first, the newest
  std::optional<double> hop_ms;
  std::optional<uint64_t> sequence_number;  // "seq", echoed
  bool signals = false;
  bool has_samples = false;
  std::vector<SessionSample> samples;  // in the order they stand in
};

inline constexpr uint32_t kMaxSensors = 8;
inline constexpr double kMaxTimeSeconds = 1e11;  // of either sign

std::string uuid_text(std::string_view bytes);  // of 16 bytes

// Errors: kInvalidInput, naming the sample and the key, for anything that is not such an object:
// JSON nested more than 16 deep, a number that float32 cannot hold, an incomplete triplet, more
// than `sample_limit` samples.
Result<SessionMessage> parse_session_message(std::string_view json, size_t sample_limit);

// A binary WebSocket message: "GRS1", 16 id bytes, seq, count, samples. Errors as above, also for
// a NaN, an infinity, and a size that is not the one that `count` says.
Result<SessionMessage> parse_binary_samples(std::string_view bytes, size_t sample_limit);

}  // namespace graupel::serve
