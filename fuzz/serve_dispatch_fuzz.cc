// Whole requests and WebSocket messages of any bytes, through the table of routes of a service with
// a model: every route, JSON and binary tensors, sequences, sessions, statistics. Each is answered
// once, never with 500; an answer that says it is JSON is JSON.
//
// The input: "METHOD TARGET", then headers, one per line, an empty line, the body. The method
// "TEXT" or "BINARY" sends the body as a WebSocket message. An '@' in a target or text body that
// stands for a session's id is replaced by one that is open.
#include <unistd.h>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <nlohmann/json.hpp>

#include "bundle/bundle.h"
#include "run/plan_builder.h"
#include "serve/service.h"
#include "serve/session_socket.h"

namespace {

using namespace graupel;
using namespace graupel::serve;

constexpr uint64_t kSocket = 1;

std::string written_bundle() {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("graupel_fuzz" + std::to_string(getpid())))
          .string();
  bundle::Bundle made;
  made.manifest.model_name = "net";
  made.manifest.stage = bundle::Stage::kCompiled;
  made.members["cpu.plan"] = run::format_plan(run::sample_plan());
  if (!bundle::write_bundle(path, made).ok()) abort();
  return path;
}

ServeOptions options_of_service() {
  ServeOptions options;
  options.sessions.limit = 20;
  options.sessions.ring_samples = 200;
  options.sessions.speed = 0.0;
  options.windows_per_request = 4;
  return options;
}

void check(const Reply& reply) {
  if (reply.status < 200 || reply.status > 599 || reply.status == 500) abort();
  const bool is_json = reply.content_type.find("json") != std::string::npos;
  if (is_json && !nlohmann::json::accept(reply.body)) abort();
}

// The service and its loop on a thread; made once.
struct Running {
  Running() : service(loop, options_of_service(), [](std::string_view, const std::string&) {}) {
    const std::string path = written_bundle();
    auto model = load_model(path, "net", "1", service.workers.threads());
    std::filesystem::remove(path);
    if (!model.ok()) abort();
    service.models.loaded["net"]["1"] = *model;
    service.models.sources = {{"net", "1", path}};
    connect_sockets(service);
    Socket socket;
    socket.id = kSocket;
    socket.send = [](const std::string& text) {
      if (!nlohmann::json::accept(text)) abort();
    };
    socket.close = [] {};
    open_socket(service, Request{}, socket);
    thread = std::thread([this] { loop.run(); });
  }
  ~Running() {
    loop.stop();
    thread.join();
  }
  EventLoop loop;
  Service service;
  std::thread thread;
};

std::string with_session(const Service& service, std::string text) {
  const size_t at = text.find('@');
  if (at == std::string::npos || service.sessions.open.empty()) return text;
  return text.replace(at, 1, service.sessions.open.begin()->first);
}

std::string_view line_of(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

// On the loop's thread.
void take(Service& service, std::string_view text, const std::function<void()>& done) {
  const std::string_view first = line_of(text);
  const size_t space = std::min(first.find(' '), first.size());
  auto request = std::make_shared<Request>();
  request->method = std::string(first.substr(0, space));
  while (!text.empty()) {
    const std::string_view line = line_of(text);
    if (line.empty()) break;
    const size_t colon = std::min(line.find(':'), line.size());
    request->headers.push_back({std::string(line.substr(0, colon)),
                                std::string(line.substr(std::min(colon + 1, line.size())))});
  }
  const bool binary = request->method == "BINARY";
  request->body = binary ? std::string(text) : with_session(service, std::string(text));
  if (binary || request->method == "TEXT") {
    receive_message(service, kSocket, request->body, binary);
    return done();
  }
  const std::string target(first.substr(std::min(space + 1, first.size())));
  // A file that is not there any more cannot be loaded, which is a matter of its own.
  if (target.find("load") != std::string::npos) return done();
  if (!parse_target(with_session(service, target), *request).ok()) return done();
  dispatch(service, request, [done](const Reply& reply) {
    check(reply);
    done();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Running running;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::promise<void> answered;
  running.loop.post([&] { take(running.service, text, [&answered] { answered.set_value(); }); });
  answered.get_future().get();
  return 0;
}
