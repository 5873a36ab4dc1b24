// Many sessions at once over WebSocket, each at 100 Hz per sensor: how long does a window's answer
// take?
//
//   stream_load PORT SESSIONS SECONDS [FRAME_SAMPLES=10] [echo]
//
// Idea: one thread, epoll. Session k starts at its own phase within a frame, so that the server
// sees an even stream. A frame (binary message) holds the newest FRAME_SAMPLES instants of both
// sensors. A window's answer is timed from the sending of the frame that held the window's last
// sample. Frames are sent when they are due, whether answers came or not; how late this program
// itself was is reported too. With `echo` the server gives messages back (echo_server): timed are
// then the frames that hold a window's last sample, so that both say what the same messages take.
// Prints one line of JSON. Messages: docs/sessions.md.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "load_tool.h"

namespace {

using namespace graupel::bench;

constexpr double kRateHz = 100.0;
constexpr size_t kSensors = 2;

struct Session {
  int fd = -1;
  std::string in;            // received, not yet read
  std::string id;            // 16 bytes
  double begins = 0.0;       // when instant 0 is due
  uint64_t frames = 0;       // sent
  std::vector<double> sent;  // when frame k was sent
};

struct Result {
  std::vector<double> latency, late;
  uint64_t accepted = 0, errors = 0, lost = 0;
  std::string first_error;
};

// Text after `key` up to a character of `ends`.
std::string field(std::string_view json, std::string_view key, const char* ends) {
  const size_t at = json.find(key);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + key.size();
  return std::string(json.substr(begin, json.find_first_of(ends, begin) - begin));
}

// A client's frame of RFC 6455; a mask of zeros leaves the bytes as they are.
std::string frame(uint8_t opcode, std::string_view payload) {
  std::string out(1, static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size() & 0xff);
  }
  return out.append(4, '\0').append(payload);
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// What a sensor might give: six ways to move, one after the other.
float value(uint64_t instant, size_t sensor, size_t channel, size_t session) {
  const double t = static_cast<double>(instant) / kRateHz;
  const double hz = 0.3 + 0.45 * static_cast<double>((instant / 700 + session) % 6);
  const double wave = std::sin(6.283 * hz * t + static_cast<double>(sensor + channel));
  constexpr double kRest[9] = {9.2, -0.7, 2.2, 0, 0, 0, -0.6, -0.7, 0.25};
  constexpr double kSwing[9] = {3, 2, 2, 1, 1, 0.6, 0.2, 0.2, 0.1};
  return static_cast<float>(kRest[channel] + kSwing[channel] * wave);
}

std::string samples_message(const Session& session, size_t index, uint64_t frame_samples) {
  std::string out = "GRS1" + session.id;
  put(out, static_cast<uint32_t>(session.frames));
  put(out, static_cast<uint32_t>(frame_samples * kSensors));
  for (uint64_t i = 0; i < frame_samples; ++i) {
    const uint64_t instant = session.frames * frame_samples + i;
    for (size_t sensor = 0; sensor < kSensors; ++sensor) {
      put(out, static_cast<double>(instant) / kRateHz);
      put(out, static_cast<uint32_t>(sensor));
      put(out, uint32_t{0});
      for (size_t channel = 0; channel < 9; ++channel) {
        put(out, value(instant, sensor, channel, index));
      }
    }
  }
  return out;
}

std::string id_bytes(const std::string& uuid) {
  std::string bytes, digits;
  for (const char c : uuid) {
    if (c != '-') digits += c;
  }
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::strtoul(digits.substr(i, 2).c_str(), nullptr, 16));
  }
  return bytes;
}

constexpr uint64_t kWindowSamples = 100, kHopSamples = 50;

// A frame came back; `message` is what samples_message made.
void take_echo(Session& session, std::string_view message, uint64_t frame_samples, Result& result) {
  uint32_t number = 0;
  if (message.size() < 24) return;
  std::memcpy(&number, message.data() + 20, sizeof(number));
  ++result.accepted;
  // A window ends with every kHopSamples-th sample, from the first whole one on.
  const uint64_t first = number * frame_samples, end = first + frame_samples;
  const bool completes = end >= kWindowSamples && first / kHopSamples != end / kHopSamples;
  if (completes && number < session.sent.size()) {
    result.latency.push_back(now_seconds() - session.sent[number]);
  }
}

void take(Session& session, std::string_view message, uint64_t frame_samples, Result& result) {
  const std::string type = field(message, "\"type\":\"", "\"");
  if (type == "started") session.id = id_bytes(field(message, "\"session_id\":\"", "\""));
  if (type == "accepted") ++result.accepted;
  if (type == "error") {
    if (result.errors++ == 0) result.first_error = std::string(message.substr(0, 200));
  }
  if (type != "behavioral_update") return;
  const double end_ms = std::strtod(field(message, "\"end_ms\":", ",}").c_str(), nullptr);
  // The window ends one period behind its last sample.
  const auto last = static_cast<uint64_t>(std::llround(end_ms / 1e3 * kRateHz)) - 1;
  const size_t in_frame = last / frame_samples;
  if (in_frame < session.sent.size()) {
    result.latency.push_back(now_seconds() - session.sent[in_frame]);
  }
}

// Reads every whole message of what was received.
void read_messages(Session& session, uint64_t frame_samples, Result& result) {
  size_t at = 0;
  while (session.in.size() - at >= 2) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(session.in[at + i]); };
    size_t length = byte(1) & 0x7f, head = 2;
    if (length == 126) {
      if (session.in.size() - at < 4) break;
      length = static_cast<size_t>(byte(2)) << 8 | byte(3);
      head = 4;
    }
    if (session.in.size() - at < head + length) break;
    if ((byte(0) & 0x0f) == 2) {
      take_echo(session, std::string_view(session.in).substr(at + head, length), frame_samples,
                result);
    } else if ((byte(0) & 0x0f) == 1) {
      take(session, std::string_view(session.in).substr(at + head, length), frame_samples, result);
    }
    at += head + length;
  }
  session.in.erase(0, at);
}

// -1 if the server did not take it.
int opened_session(uint16_t port) {
  const int fd = opened(port);
  if (fd < 0) return -1;
  send_all(fd,
           "GET /ws/v1/analysis HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
           "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  std::string head;
  char c = 0;
  while (!head.ends_with("\r\n\r\n") && recv(fd, &c, 1, 0) == 1) head += c;
  if (head.find(" 101 ") == std::string::npos) return -1;
  send_all(fd, frame(1, R"({"type":"start"})"));
  return fd;
}

void receive(Session& session, uint64_t frame_samples, Result& result) {
  char block[1 << 16];
  const ssize_t got = recv(session.fd, block, sizeof(block), MSG_DONTWAIT);
  if (got > 0) {
    session.in.append(block, static_cast<size_t>(got));
    read_messages(session, frame_samples, result);
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    close(session.fd);
    session.fd = -1;
    ++result.lost;
  }
}

void pump(int poll, std::vector<Session>& sessions, uint64_t frame_samples, int wait_ms,
          Result& result) {
  epoll_event ready[256];
  const int count = epoll_wait(poll, ready, 256, wait_ms);
  for (int i = 0; i < count; ++i) receive(sessions[ready[i].data.u64], frame_samples, result);
}

void print(Result& result, size_t sessions, double seconds) {
  const auto over = std::count_if(result.latency.begin(), result.latency.end(),
                                  [](double each) { return each > 0.05; });
  std::sort(result.latency.begin(), result.latency.end());
  std::sort(result.late.begin(), result.late.end());
  std::printf(
      "{\"sessions\":%zu,\"seconds\":%.1f,\"windows\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
      "\"p999_ms\":%.3f,\"max_ms\":%.3f,\"over_50_ms\":%td,\"frames_accepted\":%llu,"
      "\"errors\":%llu,\"connections_lost\":%llu,\"client_late_p99_ms\":%.3f,"
      "\"client_late_max_ms\":%.3f,\"first_error\":\"%zu bytes\"}\n",
      sessions, seconds, result.latency.size(), 1e3 * quantile(result.latency, 0.5),
      1e3 * quantile(result.latency, 0.99), 1e3 * quantile(result.latency, 0.999),
      1e3 * quantile(result.latency, 1.0), over, static_cast<unsigned long long>(result.accepted),
      static_cast<unsigned long long>(result.errors), static_cast<unsigned long long>(result.lost),
      1e3 * quantile(result.late, 0.99), 1e3 * quantile(result.late, 1.0),
      result.first_error.size());
  if (!result.first_error.empty()) std::fprintf(stderr, "%s\n", result.first_error.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: stream_load PORT SESSIONS SECONDS [FRAME_SAMPLES] [echo]\n");
    return 2;
  }
  const auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  const auto count = static_cast<size_t>(std::atoi(argv[2]));
  const double seconds = std::atof(argv[3]);
  const auto frame_samples = static_cast<uint64_t>(argc > 4 ? std::atoi(argv[4]) : 10);
  const bool echo = argc > 5 && std::string_view(argv[5]) == "echo";
  const double period = static_cast<double>(frame_samples) / kRateHz;
  Result result;
  std::vector<Session> sessions(count);
  const int poll = epoll_create1(0);
  for (size_t i = 0; i < count; ++i) {
    sessions[i].fd = opened_session(port);
    if (sessions[i].fd < 0) {
      std::fprintf(stderr, "session %zu could not be opened\n", i);
      return 1;
    }
    if (echo) sessions[i].id.assign(16, '\0');
    epoll_event event{EPOLLIN, {.u64 = i}};
    epoll_ctl(poll, EPOLL_CTL_ADD, sessions[i].fd, &event);
    pump(poll, sessions, frame_samples, 0, result);
  }
  const auto waiting = [&] {
    return std::any_of(sessions.begin(), sessions.end(),
                       [](const auto& s) { return s.id.empty(); });
  };
  for (const double limit = now_seconds() + 20; waiting() && now_seconds() < limit;) {
    pump(poll, sessions, frame_samples, 10, result);
  }
  // Due frames, by time.
  std::multimap<double, size_t> due;
  const double start = now_seconds() + 0.1;
  for (size_t i = 0; i < count; ++i) {
    due.emplace(start + period * static_cast<double>(i) / static_cast<double>(count), i);
  }
  while (!due.empty() && due.begin()->first < start + seconds) {
    const auto [when, index] = *due.begin();
    const double now = now_seconds();
    if (now < when) {
      pump(poll, sessions, frame_samples, std::max(0, static_cast<int>(1e3 * (when - now))),
           result);
      continue;
    }
    due.erase(due.begin());
    Session& session = sessions[index];
    if (session.fd < 0) continue;
    const std::string message = frame(2, samples_message(session, index, frame_samples));
    session.sent.push_back(now_seconds());
    send_all(session.fd, message);
    ++session.frames;
    result.late.push_back(now - when);
    due.emplace(when + period, index);
    pump(poll, sessions, frame_samples, 0, result);
  }
  for (const double end = now_seconds() + 1.0; now_seconds() < end;) {
    pump(poll, sessions, frame_samples, 10, result);
  }
  print(result, count, seconds);
  return result.errors + result.lost == 0 ? 0 : 1;
}
