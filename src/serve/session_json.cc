// Session requests and messages. See session_json.h. Library: simdjson 3.0.
// Test: sessions_test.cc, fuzz/serve_session_fuzz.cc.
#include "serve/session_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/text.h"

namespace graupel::serve {
namespace {

namespace dom = simdjson::dom;
constexpr size_t kMaxDepth = 16;
constexpr size_t kMaxTextBytes = 256;
constexpr size_t kHeadBytes = 28, kSampleBytes = 52;

Result<int64_t> time_of(double seconds, const std::string& where) {
  if (!(std::abs(seconds) <= kMaxTimeSeconds)) {
    return invalid_input(where, fmt::format("has a time of {} s, beyond +-1e11 s", seconds));
  }
  return std::llround(seconds * 1e6);
}

Result<double> number_of(dom::element element, const std::string& where, std::string_view key) {
  double value = 0.0;
  if (!element.is_number() || element.get(value) != simdjson::SUCCESS) {
    return invalid_input(where, fmt::format("needs \"{}\", a number", key));
  }
  return value;
}

Result<float> value_of(dom::element element, const std::string& where, std::string_view key) {
  TRY_ASSIGN(const double value, number_of(element, where, key));
  const auto narrowed = static_cast<float>(value);
  if (!std::isfinite(narrowed)) {
    return invalid_input(where, fmt::format("has {} in \"{}\", beyond float32", value, key));
  }
  return narrowed;
}

// "ax" ... "mz" as the position of the value, or nullopt.
std::optional<size_t> channel_of(std::string_view key) {
  if (key.size() != 2 || key[1] < 'x' || key[1] > 'z') return std::nullopt;
  const size_t triplet = std::string_view("agm").find(key[0]);
  if (triplet == std::string_view::npos) return std::nullopt;
  return triplet * 3 + static_cast<size_t>(key[1] - 'x');
}

Result<void> whole_triplets(uint32_t channels, SessionSample& sample, const std::string& where) {
  for (uint32_t triplet = 0; triplet < 3; ++triplet) {
    const uint32_t of_triplet = channels >> (3 * triplet) & 7u;
    if (of_triplet != 0 && of_triplet != 7) {
      return invalid_input(where, fmt::format("has only some of {0}x, {0}y, {0}z", "agm"[triplet]));
    }
    if (of_triplet == 7) sample.given |= static_cast<uint8_t>(1u << triplet);
  }
  if (sample.given == 0) return invalid_input(where, "has no values: ax, ay, az, gx, ... mz");
  return ok();
}

Result<uint32_t> sensor_of(dom::element element, const std::string& where) {
  uint64_t sensor = 0;
  if (element.get(sensor) != simdjson::SUCCESS || sensor >= kMaxSensors) {
    return invalid_input(where, fmt::format("needs a \"sensor\" from 0 to {}", kMaxSensors - 1));
  }
  return static_cast<uint32_t>(sensor);
}

// {t, ax, ay, az, gx, ..., mz, sensor?}
Result<SessionSample> flat_sample(dom::object object, uint32_t sensor, const std::string& where) {
  SessionSample sample;
  sample.sensor = sensor;
  uint32_t channels = 0;
  bool timed = false;
  for (const auto [key, element] : object) {
    if (const auto channel = channel_of(key)) {
      TRY_ASSIGN(sample.sample.values[*channel], value_of(element, where, key));
      channels |= 1u << *channel;
    } else if (key == "t") {
      TRY_ASSIGN(const double seconds, number_of(element, where, key));
      TRY_ASSIGN(sample.sample.time_us, time_of(seconds, where));
      timed = true;
    } else if (key == "sensor") {
      TRY_ASSIGN(sample.sensor, sensor_of(element, where));
    }
  }
  if (!timed) return invalid_input(where, "needs \"t\", its time in seconds");
  TRY(whole_triplets(channels, sample, where));
  return sample;
}

Result<void> read_imu(dom::element element, SessionSample& sample, const std::string& where) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return invalid_input(where, "needs an object with \"accel\", \"gyro\" and \"mag\"");
  }
  constexpr std::array<std::string_view, 3> kNames = {"accel", "gyro", "mag"};
  for (size_t triplet = 0; triplet < kNames.size(); ++triplet) {
    dom::element values;
    if (object[kNames[triplet]].get(values) != simdjson::SUCCESS) continue;
    dom::array array;
    if (values.get(array) != simdjson::SUCCESS || array.size() != 3) {
      return invalid_input(where, fmt::format("needs three numbers in \"{}\"", kNames[triplet]));
    }
    size_t at = triplet * 3;
    for (const dom::element each : array) {
      TRY_ASSIGN(sample.sample.values[at], value_of(each, where, kNames[triplet]));
      ++at;
    }
    sample.given |= static_cast<uint8_t>(1u << triplet);
  }
  if (sample.given == 0) return invalid_input(where, "has no \"accel\", \"gyro\" or \"mag\"");
  return ok();
}

// {timestamp_ms, imu, imu2?, sensor?}: one sample, or one of each sensor.
Result<void> nested_samples(dom::object object, const std::string& where,
                            std::vector<SessionSample>& samples) {
  dom::element element;
  if (object["timestamp_ms"].get(element) != simdjson::SUCCESS) {
    return invalid_input(where, "needs \"timestamp_ms\"");
  }
  TRY_ASSIGN(const double ms, number_of(element, where, "timestamp_ms"));
  SessionSample sample;
  TRY_ASSIGN(sample.sample.time_us, time_of(ms / 1e3, where));
  SessionSample second = sample;
  if (object["sensor"].get(element) == simdjson::SUCCESS) {
    TRY_ASSIGN(sample.sensor, sensor_of(element, where));
  }
  TRY(read_imu(object["imu"].value_unsafe(), sample, where));
  samples.push_back(sample);
  if (object["imu2"].get(element) != simdjson::SUCCESS) return ok();
  second.sensor = 1;
  TRY(read_imu(element, second, where));
  samples.push_back(second);
  return ok();
}

Result<void> read_samples(dom::element element, std::string_view key, size_t sample_limit,
                          SessionMessage& message) {
  dom::array array;
  if (element.get(array) != simdjson::SUCCESS) {
    return invalid_input(std::string(key), "has to be an array of samples");
  }
  message.has_samples = true;
  size_t index = 0;
  for (const dom::element each : array) {
    const std::string where = fmt::format("{}[{}]", key, index++);
    dom::object object;
    if (each.get(object) != simdjson::SUCCESS) return invalid_input(where, "is no object");
    if (message.samples.size() >= sample_limit) {
      return invalid_input(std::string(key), fmt::format("has more than {} samples; send them in "
                                                         "several requests",
                                                         sample_limit));
    }
    dom::element imu;
    if (object["imu"].get(imu) == simdjson::SUCCESS) {
      TRY(nested_samples(object, where, message.samples));
    } else {
      const uint32_t sensor = key == "samples2" ? 1 : 0;
      TRY_ASSIGN(SessionSample sample, flat_sample(object, sensor, where));
      message.samples.push_back(sample);
    }
  }
  return ok();
}

Result<std::string> text_of(dom::element element, std::string_view key) {
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS || text.size() > kMaxTextBytes) {
    return invalid_input(std::string(key), "has to be a string of at most 256 bytes");
  }
  return std::string(text);
}

Result<void> read_field(std::string_view key, dom::element element, size_t sample_limit,
                        SessionMessage& message);

// model_config of form B: {model?, version?, hop_ms?}.
Result<void> read_model_config(dom::element element, SessionMessage& message) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return invalid_input("model_config", "has to be an object");
  }
  for (const auto [key, each] : object) {
    if (key == "model" || key == "hop_ms") TRY(read_field(key, each, 0, message));
    if (key == "version") {
      TRY_ASSIGN(message.model_version, text_of(each, key));
    }
  }
  return ok();
}

Result<void> read_names(std::string_view key, dom::element element, SessionMessage& message) {
  if (key == "type") {
    TRY_ASSIGN(message.type, text_of(element, key));
  }
  if (key == "auth_token") {
    TRY_ASSIGN(message.auth_token, text_of(element, key));
  }
  if (key == "feed") {
    TRY_ASSIGN(message.feed, text_of(element, key));
  }
  if (key == "model") {
    TRY_ASSIGN(message.model, text_of(element, key));
  }
  if (key == "modelVersion" || key == "model_version") {
    TRY_ASSIGN(message.model_version, text_of(element, key));
  }
  if (key == "sessionId") {
    TRY_ASSIGN(message.session_id, text_of(element, key));
  }
  if (key == "session_id") {
    TRY_ASSIGN(message.session_id, text_of(element, key));
    message.form = SessionForm::kB;
  }
  if (key == "subject_id" || key == "device_id" || key == "analysis_type") {
    TRY(text_of(element, key));
    message.form = SessionForm::kB;
  }
  return ok();
}

Result<void> read_field(std::string_view key, dom::element element, size_t sample_limit,
                        SessionMessage& message) {
  if (key == "samples" || key == "samples2") {
    return read_samples(element, key, sample_limit, message);
  }
  if (key == "model_config") return read_model_config(element, message);
  if (key == "hopMs" || key == "hop_ms") {
    TRY_ASSIGN(message.hop_ms, number_of(element, "body", key));
  }
  if (key == "seq") {
    uint64_t number = 0;
    if (element.get(number) != simdjson::SUCCESS) {
      return invalid_input("seq", "has to be an integer from 0");
    }
    message.sequence_number = number;
  }
  if (key == "signals" && element.get(message.signals) != simdjson::SUCCESS) {
    return invalid_input("signals", "has to be true or false");
  }
  return read_names(key, element, message);
}

template <class T>
T take(const char*& at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  at += sizeof(T);
  return value;
}

// Errors without a place: the caller knows which sample it is, and most are good.
Result<SessionSample> binary_sample(const char* at) {
  SessionSample sample;
  TRY_ASSIGN(sample.sample.time_us, time_of(take<double>(at), ""));
  sample.sensor = take<uint32_t>(at);
  const auto reserved = take<uint32_t>(at);
  if (sample.sensor >= kMaxSensors || reserved != 0) {
    return invalid_input(
        "", fmt::format("needs a sensor from 0 to {} and a 0 behind it", kMaxSensors - 1));
  }
  for (float& value : sample.sample.values) {
    value = take<float>(at);
    if (!std::isfinite(value)) return invalid_input("", "holds a NaN or an infinity");
  }
  sample.given = kAcceleration | kRotation | kField;
  return sample;
}

}  // namespace

std::string uuid_text(std::string_view bytes) {
  std::string text = hex_text(bytes);
  for (const size_t dash : {8, 13, 18, 23}) text.insert(dash, 1, '-');
  return text;
}

Result<SessionMessage> parse_session_message(std::string_view json, size_t sample_limit) {
  dom::parser parser;
  const simdjson::padded_string padded(json);
  if (parser.allocate(json.size() + 1, kMaxDepth) != simdjson::SUCCESS) {
    return invalid_input("body", "is too large");
  }
  dom::element root;
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS) {
    return invalid_input("body", fmt::format("is no JSON: {}", simdjson::error_message(error)));
  }
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return invalid_input("body", "is no JSON object");
  SessionMessage message;
  for (const auto [key, element] : object) TRY(read_field(key, element, sample_limit, message));
  return message;
}

Result<SessionMessage> parse_binary_samples(std::string_view bytes, size_t sample_limit) {
  static_assert(std::endian::native == std::endian::little);
  if (bytes.size() < kHeadBytes || !bytes.starts_with("GRS1")) {
    return invalid_input("message", "does not begin with \"GRS1\", 16 id bytes, seq and count");
  }
  SessionMessage message;
  message.type = "samples";
  message.form = SessionForm::kB;
  message.session_id = uuid_text(bytes.substr(4, 16));
  const char* at = bytes.data() + 20;
  message.sequence_number = take<uint32_t>(at);
  const auto count = take<uint32_t>(at);
  if (count > sample_limit || bytes.size() != kHeadBytes + size_t{count} * kSampleBytes) {
    return invalid_input("message",
                         fmt::format("says {} samples in {} bytes; expected 28 + 52 per sample, at "
                                     "most {} samples",
                                     count, bytes.size(), sample_limit));
  }
  message.has_samples = true;
  message.samples.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    Result<SessionSample> sample = binary_sample(at + i * kSampleBytes);
    if (!sample.ok()) return std::move(sample).error().within(fmt::format("samples[{}]", i));
    message.samples.push_back(*sample);
  }
  return message;
}

}  // namespace graupel::serve
