// The whole server over real sockets on loopback: what a client sends, what it gets, and that
// answers are the engine's.
#include "serve/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/files.h"
#include "bundle/bundle.h"
#include "run/load.h"
#include "run/plan_builder.h"
#include "serve/test_server.h"

namespace graupel::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string bundle_path(const std::string& name) { return testing::TempDir() + name + ".graupel"; }

ServeOptions with_net(ServeOptions options) {
  write_sample(bundle_path("net"));
  options.models.push_back({"net", "1", bundle_path("net")});
  return options;
}

struct Running : TestServer {
  explicit Running(ServeOptions options = {}) : TestServer(with_net(std::move(options))) {}
};

std::vector<float> sample_window() {
  std::vector<float> window(kChannels * kSensors * kSamples);
  for (size_t i = 0; i < window.size(); ++i) window[i] = std::sin(0.37f * static_cast<float>(i));
  return window;
}

std::vector<float> expected_logits(const std::vector<float>& window) {
  run::Engine engine = *run::load_engine(run::sample_plan());
  EXPECT_TRUE(run::run(engine, window).ok());
  const Tensor logits = run::output_tensor(engine, 0);
  return {logits.data<float>().begin(), logits.data<float>().end()};
}

json oip_body(const std::vector<float>& values, const std::vector<int64_t>& shape) {
  return {{"id", "7"},
          {"inputs",
           {{{"name", run::sample_plan().inputs[0].name},
             {"datatype", "FP32"},
             {"shape", shape},
             {"data", values}}}}};
}

TEST(Server, AnswersAreTheEnginesInJsonAndBinary) {
  Running running;
  const std::vector<float> window = sample_window(), logits = expected_logits(window);
  const Answer as_json = call(running.server->port(), "POST", "/v2/models/net/infer",
                              oip_body(window, {1, 3, 6, 8}).dump());
  ASSERT_EQ(as_json.status, 200) << as_json.body;
  EXPECT_EQ(as_json.parsed()["id"], "7");
  EXPECT_EQ(as_json.parsed()["outputs"][0]["data"].get<std::vector<float>>(), logits);

  const json head = {{"parameters", {{"binary_data_output", true}}},
                     {"outputs", {{{"name", "logits"}}}},
                     {"inputs",
                      {{{"name", run::sample_plan().inputs[0].name},
                        {"datatype", "FP32"},
                        {"shape", {2, 3, 6, 8}},
                        {"parameters", {{"binary_data_size", 2 * window.size() * 4}}}}}}};
  std::string body = head.dump();
  const std::string length = std::to_string(body.size());
  for (int i = 0; i < 2; ++i) {
    body.append(reinterpret_cast<const char*>(window.data()), window.size() * 4);
  }
  const Answer binary = call(running.server->port(), "POST", "/v2/models/net/versions/1/infer",
                             body, "Inference-Header-Content-Length: " + length + "\r\n");
  ASSERT_EQ(binary.status, 200) << binary.body;
  ASSERT_GE(binary.body.size(), 2 * logits.size() * 4);
  std::vector<float> twice(2 * logits.size());
  std::memcpy(twice.data(), binary.body.data() + binary.body.size() - twice.size() * 4,
              twice.size() * 4);
  for (size_t i = 0; i < twice.size(); ++i) EXPECT_EQ(twice[i], logits[i % logits.size()]);
}

TEST(Server, SidecarTakesTimeBySensorByChannel) {
  Running running;
  const std::vector<float> window = sample_window(), logits = expected_logits(window);
  json x = json::array();
  for (size_t t = 0; t < kSamples; ++t) {
    for (size_t s = 0; s < kSensors; ++s) {
      for (size_t c = 0; c < kChannels; ++c) x[t][s][c] = window[(c * kSensors + s) * kSamples + t];
    }
  }
  const Answer answer = call(running.server->port(), "POST", "/infer", json{{"x", x}}.dump());
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json body = answer.parsed();
  EXPECT_EQ(body["latent"].size(), 64u);
  EXPECT_EQ(body["motif_scores"].size(), 12u);
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  EXPECT_EQ(body["class"], best);
  EXPECT_EQ(body["label"], std::string(1, static_cast<char>('a' + best)));
  double sum = 0.0;
  for (const double probability : body["probabilities"]) sum += probability;
  EXPECT_NEAR(sum, 1.0, 1e-9);
  EXPECT_THAT(body["engine"].get<std::string>(), HasSubstr("cpu/"));
  EXPECT_EQ(call(running.server->port(), "POST", "/infer", R"({"x":[[1,2,3]]})").status, 422);
  EXPECT_EQ(call(running.server->port(), "POST", "/infer", "{").status, 400);
}

TEST(Server, DescribesItselfAndItsModels) {
  Running running;
  const uint16_t port = running.server->port();
  const json model = call(port, "GET", "/v2/models/net").parsed();
  EXPECT_EQ(model["inputs"][0]["shape"], (json{-1, 3, 6, 8}));
  EXPECT_EQ(model["versions"], json{"1"});
  EXPECT_EQ(call(port, "GET", "/v2/models/other").status, 404);
  EXPECT_EQ(call(port, "GET", "/v2/models/net/versions/2").status, 404);
  EXPECT_EQ(call(port, "GET", "/v2/health/ready").status, 200);
  EXPECT_EQ(call(port, "GET", "/healthz").parsed()["ok"], true);
  EXPECT_EQ(call(port, "POST", "/v2/repository/index").parsed()[0]["state"], "READY");
  EXPECT_THAT(call(port, "GET", "/metrics").body, HasSubstr("graupel_models 1\n"));
}

TEST(Server, SaysWhatIsWrongWithARequest) {
  Running running;
  const uint16_t port = running.server->port();
  const std::string infer = "/v2/models/net/infer";
  const std::vector<float> window = sample_window();
  const std::pair<json, const char*> rows[] = {
      {oip_body(window, {3, 6, 8, 1}), "expected FP32"},
      {oip_body({1.0f}, {1, 3, 6, 8}), "holds 1 values"},
      {oip_body({}, {0, 3, 6, 8}), "0 windows"},
      {oip_body(window, {100000, 3, 6, 8}), "100000 windows"},
  };
  for (const auto& [body, expected] : rows) {
    const Answer answer = call(port, "POST", infer, body.dump());
    EXPECT_EQ(answer.status, 400);
    EXPECT_THAT(answer.parsed()["error"].get<std::string>(), HasSubstr(expected));
  }
  EXPECT_EQ(call(port, "GET", "/nowhere").status, 404);
  EXPECT_EQ(call(port, "DELETE", infer).status, 405);
  EXPECT_EQ(call(port, "POST", infer, "{}", "Inference-Header-Content-Length: 99\r\n").status, 400);
}

TEST(Server, RefusesWhatIsNotHttp) {
  ServeOptions options;
  options.http.limits.body_bytes = 1000;
  options.http.limits.header_bytes = 2000;
  Running running(std::move(options));
  const uint16_t port = running.server->port();
  EXPECT_THAT(round_trip(port, "\x16\x03\x01garbage\r\n\r\n"), HasSubstr(" 400 "));
  EXPECT_THAT(round_trip(port, "GET nothing HTTP/1.1\r\n\r\n"), HasSubstr(" 400 "));
  EXPECT_THAT(round_trip(port, "POST /infer HTTP/1.1\r\nContent-Length: 5000\r\n\r\n"),
              HasSubstr(" 413 "));
  EXPECT_THAT(round_trip(port, "GET / HTTP/1.1\r\nA: " + std::string(5000, 'a') + "\r\n\r\n"),
              HasSubstr(" 431 "));
  EXPECT_THAT(
      round_trip(port, "POST /infer HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
      HasSubstr(" 400 "));
  EXPECT_EQ(call(port, "GET", "/livez").status, 200);
}

TEST(Server, CutsOffAClientThatSendsTooSlowly) {
  ServeOptions options;
  options.http.limits.request = std::chrono::milliseconds(200);
  Running running(std::move(options));
  // The socket's own time limit is 20 s; an end of the stream before that is the server's doing.
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(
      round_trip(running.server->port(), "POST /infer HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"),
      "");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

TEST(Server, CutsOffAClientWhoseHeaderNeverEnds) {
  ServeOptions options;
  options.http.limits.idle = std::chrono::milliseconds(300);
  Running running(std::move(options));
  const int fd = connected(running.server->port());
  const auto start = std::chrono::steady_clock::now();
  // A byte each 20 ms does not buy more time than silence.
  std::string_view header = "GET /livez HTTP/1.1\r\nA: ";
  ssize_t sent = 1;
  char byte = 0;
  ssize_t got = -1;
  for (size_t i = 0; i < 500 && sent == 1 && got < 0; ++i) {
    const char next = i < header.size() ? header[i] : 'b';
    sent = send(fd, &next, 1, MSG_NOSIGNAL);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    got = recv(fd, &byte, 1, MSG_DONTWAIT);
  }
  close(fd);
  EXPECT_LE(got, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
}

TEST(Server, TwoRequestsInOnePacketGetTwoAnswersInOrder) {
  Running running;
  const std::string answers = round_trip(
      running.server->port(),
      "GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /v2/models/net/ready HTTP/1.1\r\nHost: x\r\n"
      "Connection: close\r\n\r\n");
  const size_t live = answers.find("\"live\""), ready = answers.find("\"ready\"");
  EXPECT_LT(live, ready);
  EXPECT_NE(ready, std::string::npos);
}

TEST(Server, KeysGuardEveryRouteButHealth) {
  ServeOptions options;  // printf %s secret | sha256sum
  options.keys = {
      {"viewer", "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", Role::kRead}};
  Running running(std::move(options));
  const uint16_t port = running.server->port();
  for (const Route& route : routes()) {
    const int status = call(port, std::string(route.method), std::string(route.pattern)).status;
    EXPECT_EQ(status == 401, route.role != Role::kAnyone) << route.pattern << " " << status;
  }
  const std::string key = "Authorization: Bearer secret\r\n";
  EXPECT_EQ(call(port, "GET", "/v2/models/net", "", key).status, 200);
  EXPECT_EQ(call(port, "POST", "/v2/repository/models/net/load", "", key).status, 403);
}

TEST(Server, ReloadsWhileRequestsGoOn) {
  Running running;
  const uint16_t port = running.server->port();
  std::atomic<bool> stop = false;
  std::atomic<int> failed = 0, answered = 0;
  std::thread client([&] {
    const std::string body = oip_body(sample_window(), {3, 6, 8}).dump();
    while (!stop) {
      failed += call(port, "POST", "/v2/models/net/infer", body).status == 200 ? 0 : 1;
      ++answered;
    }
  });
  for (int i = 0; i < 10; ++i) {
    write_sample(bundle_path("net"), "v" + std::to_string(i) + "\nb\nc\nd\ne\n");
    EXPECT_EQ(call(port, "POST", "/v2/repository/models/net/load").status, 200);
  }
  EXPECT_TRUE(write_file_atomic(bundle_path("net"), "damaged").ok());
  EXPECT_EQ(call(port, "POST", "/v2/repository/models/net/load").status, 400);
  stop = true;
  client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(answered, 0);
  EXPECT_EQ(call(port, "POST", "/v2/repository/models/net/unload").status, 200);
  EXPECT_EQ(call(port, "POST", "/v2/models/net/infer", "{}").status, 404);
  EXPECT_EQ(call(port, "GET", "/readyz").status, 503);
}

TEST(Server, DrainsWithoutDroppingWhatItHasReceived) {
  auto running = std::make_unique<Running>();
  const uint16_t port = running->server->port();
  const std::string body = oip_body(sample_window(), {3, 6, 8}).dump();
  const int fd = connected(port);
  const std::string head = "POST /v2/models/net/infer HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n\r\n";
  ASSERT_GT(send(fd, head.data(), head.size(), MSG_NOSIGNAL), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  running->loop.post([&] { running->server->drain(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_GT(send(fd, body.data(), body.size(), MSG_NOSIGNAL), 0);
  char block[65536];
  const ssize_t got = recv(fd, block, sizeof(block), 0);
  ASSERT_GT(got, 0);
  EXPECT_THAT(std::string(block, static_cast<size_t>(got)), HasSubstr(" 200 "));
  close(fd);
  running.reset();
}

TEST(Server, StartNamesWhatIsMissing) {
  EventLoop loop;
  ServeOptions options;
  const Log log = [](std::string_view, const std::string&) {};
  EXPECT_FALSE(Server::start(loop, options, log).ok());
  options.models = {{"net", "1", "/nowhere/net.graupel"}};
  const auto missing = Server::start(loop, options, log);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("/nowhere/net.graupel"));
}

}  // namespace
}  // namespace graupel::serve
