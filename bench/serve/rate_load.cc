// Requests at a fixed rate over a few kept connections: how long do answers take, what do they
// cost?
//
//   rate_load PORT TARGET RATE SECONDS CONNECTIONS BODY_FILE [HEADER...]
//
// Idea: one thread, ppoll, one request written beforehand and sent again and again, so that the
// tool takes little of the processor it shares with the server. Requests are due at a fixed rate,
// whether answers came or not; one whose turn comes while all connections wait for answers is
// timed from its turn on, so a server that stalls does not hide the requests it held up. What this
// program itself was late is reported apart. An answer is failed if it is not 200 and different if
// its outputs are not those of the first one, or of the file that $RATE_LOAD_EXPECTED names. Prints
// one line of JSON. Test: used by serve_bench.py, which compares with a bare server in the same
// run.
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "load_tool.h"

namespace {

using namespace graupel::bench;

struct Connection {
  int fd = -1;
  bool waits = false;
  double turn = 0.0;  // of the request under way
  std::string in;
};

struct Result {
  std::vector<double> latency, late;
  uint64_t failed = 0, different = 0, lost = 0;
  std::string first_outputs, first_failure;
  std::map<std::string, uint64_t, std::less<>> engines, reasons;
};

std::string_view quoted_behind(std::string_view text, std::string_view key) {
  const size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + key.size());
  return rest.substr(0, rest.find('"'));
}

void count(std::map<std::string, uint64_t, std::less<>>& counts, std::string_view name) {
  const auto found = counts.find(name);
  if (found != counts.end()) {
    ++found->second;
  } else if (!name.empty() && counts.size() < 64) {
    counts.emplace(name, 1);
  }
}

void take(std::string_view status, std::string_view body, Result& result) {
  if (status != "200") {
    if (result.failed++ == 0) result.first_failure = std::string(body.substr(0, 200));
    return;
  }
  const size_t outputs = body.find("\"outputs\":");
  const std::string_view head = body.substr(0, outputs == std::string_view::npos ? 0 : outputs);
  count(result.engines, quoted_behind(head, "\"engine\":\""));
  count(result.reasons, quoted_behind(head, "\"fallback_reason\":\""));
  const std::string_view answer = body.substr(head.size());
  if (result.first_outputs.empty()) result.first_outputs = std::string(answer);
  if (answer != result.first_outputs) ++result.different;
}

// Takes the answer if it is whole; false if the connection can't be used any more.
bool receive(Connection& connection, Result& result) {
  char block[1 << 16];
  const ssize_t got = recv(connection.fd, block, sizeof(block), MSG_DONTWAIT);
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  connection.in.append(block, static_cast<size_t>(got));
  const size_t end = connection.in.find("\r\n\r\n");
  if (end == std::string::npos) return true;
  const size_t named = connection.in.find("Content-Length: ");
  const size_t length =
      named < end ? std::strtoul(connection.in.c_str() + named + 16, nullptr, 10) : 0;
  if (connection.in.size() < end + 4 + length) return true;
  result.latency.push_back(now_seconds() - connection.turn);
  take(std::string_view(connection.in).substr(9, 3),
       std::string_view(connection.in).substr(end + 4, length), result);
  connection.in.clear();
  connection.waits = false;
  return true;
}

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

std::string object(const std::map<std::string, uint64_t, std::less<>>& counts) {
  std::string text = "{";
  for (const auto& [name, number] : counts) {
    text += (text.size() > 1 ? ",\"" : "\"") + name + "\":" + std::to_string(number);
  }
  return text + "}";
}

void print(Result& result, double seconds, double cpu) {
  std::sort(result.latency.begin(), result.latency.end());
  std::sort(result.late.begin(), result.late.end());
  const auto answers = static_cast<double>(result.latency.size());
  std::printf(
      "{\"requests\":%zu,\"per_second\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,"
      "\"max_ms\":%.3f,\"failed\":%llu,\"different\":%llu,\"connections_lost\":%llu,"
      "\"client_late_p99_ms\":%.3f,\"client_cpu_us\":%.1f,\"engines\":%s,\"reasons\":%s}\n",
      result.latency.size(), answers / seconds, 1e3 * quantile(result.latency, 0.5),
      1e3 * quantile(result.latency, 0.99), 1e3 * quantile(result.latency, 0.999),
      1e3 * quantile(result.latency, 1.0), static_cast<unsigned long long>(result.failed),
      static_cast<unsigned long long>(result.different),
      static_cast<unsigned long long>(result.lost), 1e3 * quantile(result.late, 0.99),
      answers > 0 ? 1e6 * cpu / answers : 0.0, object(result.engines).c_str(),
      object(result.reasons).c_str());
  if (!result.first_failure.empty()) std::fprintf(stderr, "%s\n", result.first_failure.c_str());
}

std::string request_of(int argc, char** argv) {
  std::ifstream file(argv[6], std::ios::binary);
  const std::string body{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::string text = "POST " + std::string(argv[2]) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  for (int i = 7; i < argc; ++i) text += std::string(argv[i]) + "\r\n";
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// One step: sends what is due, takes what came; false if a connection could not be kept.
bool pump(std::vector<Connection>& all, std::deque<double>& turns, const std::string& request,
          double until, uint16_t port, Result& result) {
  std::vector<pollfd> polled;
  for (Connection& each : all) {
    if (!each.waits && !turns.empty()) {
      each.turn = turns.front();
      turns.pop_front();
      each.waits = true;
      send_all(each.fd, request);
    }
    polled.push_back({each.fd, POLLIN, 0});
  }
  const double wait = std::max(0.0, until - now_seconds());
  const timespec time{static_cast<time_t>(wait),
                      static_cast<long>(1e9 * (wait - static_cast<double>(time_t(wait))))};
  if (ppoll(polled.data(), polled.size(), &time, nullptr) <= 0) return true;
  for (size_t i = 0; i < all.size(); ++i) {
    if (polled[i].revents == 0 || receive(all[i], result)) continue;
    ++result.lost;
    close(all[i].fd);
    all[i] = {opened(port), false, 0.0, {}};
    if (all[i].fd < 0) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) {
    std::fprintf(stderr,
                 "usage: rate_load PORT TARGET RATE SECONDS CONNECTIONS BODY_FILE [HEADER...]\n");
    return 2;
  }
  const auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  const double rate = std::atof(argv[3]), seconds = std::atof(argv[4]);
  const std::string request = request_of(argc, argv);
  std::vector<Connection> all(std::max<size_t>(1, static_cast<size_t>(std::atoi(argv[5]))));
  for (Connection& each : all) {
    each.fd = opened(port);
    if (each.fd < 0) {
      std::fprintf(stderr, "rate_load: nobody listens on port %d\n", port);
      return 1;
    }
  }
  Result result;
  if (const char* path = std::getenv("RATE_LOAD_EXPECTED")) {
    std::ifstream file(path, std::ios::binary);
    result.first_outputs.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::deque<double> turns;  // of requests that wait for a connection
  const double start = now_seconds(), cpu = cpu_seconds();
  const auto waits = [](const Connection& each) { return each.waits; };
  for (uint64_t sent = 0;;) {
    const double now = now_seconds();
    double due = start + static_cast<double>(sent) / rate;
    for (; due <= now && due < start + seconds; due = start + static_cast<double>(++sent) / rate) {
      turns.push_back(now);
      result.late.push_back(now - due);
    }
    const bool over = due >= start + seconds;
    if (over && turns.empty() && std::none_of(all.begin(), all.end(), waits)) break;
    if (over && now > start + seconds + 10.0) break;
    if (!pump(all, turns, request, over ? now + 0.1 : due, port, result)) break;
  }
  result.lost += turns.size();
  print(result, seconds, cpu_seconds() - cpu);
  return result.failed + result.different + result.lost == 0 ? 0 : 1;
}
