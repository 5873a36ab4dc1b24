// Sessions through the table of routes and through WebSocket messages: what is answered is what the
// engine says about the windows, and nobody sees what is not his.
#include "serve/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "run/load.h"
#include "run/plan_builder.h"
#include "serve/api.h"
#include "serve/service.h"
#include "serve/test_server.h"

namespace graupel::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string written_bundle(const std::string& labels = "a\nb\nc\nd\ne\n") {
  const std::string path = testing::TempDir() + "sessions.graupel";
  write_sample(path, labels);
  return path;
}

// A service without sockets; its loop runs on a thread.
struct Running {
  explicit Running(ServeOptions options = {}) : service(loop, std::move(options), &log_nothing) {
    service.models.sources = {{"net", "1", written_bundle()}};
    service.models.loaded["net"]["1"] =
        *load_model(service.models.sources[0].path, "net", "1", service.workers.threads());
    connect_sockets(service);
    thread = std::thread([this] { loop.run(); });
  }
  ~Running() {
    loop.stop();
    thread.join();
  }
  Reply call(const std::string& method, const std::string& target, const std::string& body = "",
             const std::string& key = "") {
    auto request = std::make_shared<Request>();
    request->method = method;
    EXPECT_TRUE(parse_target(target, *request).ok());
    request->body = body;
    if (!key.empty()) request->headers.push_back({"x-api-key", key});
    std::promise<Reply> promise;
    loop.post([&] {
      dispatch(service, request, [&promise](Reply reply) { promise.set_value(std::move(reply)); });
    });
    return promise.get_future().get();
  }
  json get(const std::string& target) { return json::parse(call("GET", target).body); }
  // Runs on the loop's thread, and waits for it.
  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    loop.post([&] {
      task();
      done.set_value();
    });
    done.get_future().get();
  }
  // Until the session has answered this many windows.
  json windows(const std::string& id, uint64_t count) {
    for (int tries = 0; tries < 2000; ++tries) {
      const json session = get("/api/v1/sessions/" + id);
      if (session["windows_answered"] >= count) return session;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "no " << count << " windows";
    return {};
  }
  EventLoop loop;
  Service service;
  std::thread thread;
};

float signal_at(size_t sensor, size_t channel, size_t instant) {
  return std::sin(0.37f * static_cast<float>(instant) + 0.9f * static_cast<float>(channel) +
                  0.5f * static_cast<float>(sensor));
}

json samples(size_t first, size_t count, double start_s = 1000.0) {
  json list = json::array();
  for (size_t i = first; i < first + count; ++i) {
    for (size_t s = 0; s < kSensors; ++s) {
      list.push_back({{"t", start_s + static_cast<double>(i) / 100.0},
                      {"sensor", s},
                      {"ax", signal_at(s, 0, i)},
                      {"ay", signal_at(s, 1, i)},
                      {"az", signal_at(s, 2, i)}});
    }
  }
  return list;
}

std::vector<float> expected_logits(size_t first) {
  std::vector<float> window(kChannels * kSensors * kSamples);
  for (size_t c = 0; c < kChannels; ++c) {
    for (size_t s = 0; s < kSensors; ++s) {
      for (size_t i = 0; i < kSamples; ++i) {
        window[(c * kSensors + s) * kSamples + i] = signal_at(s, c, first + i);
      }
    }
  }
  run::Engine engine = *run::load_engine(run::sample_plan());
  EXPECT_TRUE(run::run(engine, window).ok());
  const Tensor logits = run::output_tensor(engine, 0);
  return {logits.data<float>().begin(), logits.data<float>().end()};
}

std::string started(Running& running, const std::string& key = "") {
  const Reply reply = running.call("POST", "/api/v1/analysis/start", R"({"hopMs":40})", key);
  EXPECT_EQ(reply.status, 200) << reply.body;
  return json::parse(reply.body)["sessionId"];
}

std::string stream_body(const std::string& id, const json& list) {
  return json{{"sessionId", id}, {"samples", list}}.dump();
}

TEST(Sessions, AnswerEveryHopWithWhatTheEngineSays) {
  Running running;
  const std::string id = started(running);
  for (size_t at = 0; at < 40; at += 5) {
    const Reply reply =
        running.call("PUT", "/api/v1/analysis/stream", stream_body(id, samples(at, 5)));
    ASSERT_EQ(reply.status, 202) << reply.body;
    EXPECT_EQ(json::parse(reply.body)["samples_received"], 5 * kSensors);
  }
  const json session = running.windows(id, 9);
  ASSERT_EQ(session["windows"].size(), 9u);
  for (size_t w = 0; w < 9; ++w) {
    const std::vector<float> logits = expected_logits(4 * w);
    const json& window = session["windows"][w];
    EXPECT_EQ(window["class"], std::max_element(logits.begin(), logits.end()) - logits.begin());
    EXPECT_NEAR(window["start_ms"].get<double>(), 1e6 + 40.0 * static_cast<double>(w), 1e-3);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    for (size_t c = 0; c < logits.size(); ++c) {
      EXPECT_NEAR(window["probabilities"][c], std::exp(static_cast<double>(logits[c])) / sum, 1e-5);
    }
    EXPECT_THAT(window["engine"].get<std::string>(), HasSubstr("cpu/"));
    EXPECT_EQ(window["model_version"], "1");
  }
  const json motifs = running.get("/api/v1/analysis/motifs?sessionId=" + id + "&topK=3");
  EXPECT_EQ(motifs["status"], "ok");
  ASSERT_EQ(motifs["motifs"].size(), 3u);
  EXPECT_GE(motifs["motifs"][0]["score"], motifs["motifs"][1]["score"]);
  const json behaviour = running.get("/api/v1/analysis/behavioral?session_id=" + id);
  EXPECT_EQ(behaviour["analysis"]["behavioral_state"]["primary"], session["windows"][8]["label"]);
  EXPECT_EQ(session["signals"]["sensors"].size(), kSensors);
  const Reply stopped =
      running.call("POST", "/api/v1/analysis/stop", json{{"session_id", id}}.dump());
  ASSERT_EQ(stopped.status, 200);
  double shares = 0.0;
  const json summary = json::parse(stopped.body)["summary"];
  for (const auto& share : summary["behavioral_states"]) {
    shares += share.get<double>();
  }
  EXPECT_NEAR(shares, 1.0, 1e-9);
  EXPECT_EQ(running.call("GET", "/api/v1/analysis/motifs?sessionId=" + id).status, 404);
}

TEST(Sessions, SayWhatIsMissingBeforeThereIsAnAnswer) {
  Running running;
  const std::string id = started(running);
  const json motifs = running.get("/api/v1/analysis/motifs?sessionId=" + id);
  EXPECT_EQ(motifs["status"], "waiting");
  EXPECT_THAT(motifs["reason"].get<std::string>(), HasSubstr("sensor 0 has sent nothing"));
  EXPECT_TRUE(motifs["motifs"].empty());
  const json synchrony = running.get("/api/v1/analysis/synchrony?sessionId=" + id);
  EXPECT_EQ(synchrony["status"], "waiting");
  EXPECT_FALSE(synchrony.contains("r"));
}

TEST(Sessions, SynchronyFindsWhichSensorFollows) {
  Running running;
  const std::string id = started(running);
  json list = json::array();
  for (int i = 0; i < 200; ++i) {
    for (size_t s = 0; s < kSensors; ++s) {
      const double at = i - (s == 1 ? 6 : 0);  // sensor 1 does the same 60 ms later
      const double value = 10.0 + std::sin(0.11 * at) + 0.6 * std::sin(0.63 * at + 1.0);
      list.push_back({{"t", i / 100.0}, {"sensor", s}, {"ax", value}, {"ay", 0.0}, {"az", 0.0}});
    }
  }
  ASSERT_EQ(running.call("PUT", "/api/v1/analysis/stream", stream_body(id, list)).status, 202);
  const json found = running.get("/api/v1/analysis/synchrony?window_ms=1900&session_id=" + id);
  ASSERT_EQ(found["status"], "ok") << found.dump();
  EXPECT_NEAR(found["r"], 1.0, 1e-6);
  EXPECT_NEAR(found["lag_ms"], 60.0, 1e-9);
  EXPECT_EQ(running.call("GET", "/api/v1/analysis/synchrony?window_ms=x&session_id=" + id).status,
            400);
}

TEST(Sessions, RefuseBadSamplesWholeAndSayWhich) {
  Running running;
  const std::string id = started(running);
  json far = samples(0, 1), sensor = samples(0, 1), half = samples(0, 1);
  far[2]["ay"] = 501.0;
  sensor[1]["sensor"] = 7;
  half[0].erase("az");
  const auto body = [&](const json& list) { return stream_body(id, list); };
  const std::tuple<std::string, int, const char*> rows[] = {
      {body(far), 422, "samples[2]: has a acceleration of 501"},
      {body(sensor), 422, "sensor 7, the model has 6"},
      {body(half), 400, "only some of ax, ay, az"},
      {"{\"sessionId\":\"" + id + "\"}", 400, "needs \\\"samples\\\""},
      {"{\"sessionId\":\"" + id + "\",\"samples\":[{\"t\":1e300,\"ax\":1,\"ay\":1,\"az\":1}]}", 400,
       "time of 1e+300"},
      {"{\"sessionId\":\"" + id + "\",\"samples\":[{\"t\":1,\"ax\":1e39,\"ay\":1,\"az\":1}]}", 400,
       "beyond float32"},
      {"{\"sessionId\":\"" + id + "\",\"samples\":[{\"t\":NaN}]}", 400, "is no JSON"},
      {"{\"sessionId\":\"\xff\",\"samples\":[]}", 400, "is no JSON"},
      {"[", 400, "is no JSON"},
      {"[]", 400, "is no JSON object"},
      {R"({"sessionId":"nobody","samples":[]})", 400, "there is no such session"},
      {R"({"session_id":"nobody","samples":[]})", 404, "there is no such session"},
  };
  for (const auto& [sent, status, expected] : rows) {
    const Reply reply = running.call("PUT", "/api/v1/analysis/stream", sent);
    EXPECT_EQ(reply.status, status) << sent << reply.body;
    EXPECT_THAT(reply.body, HasSubstr(expected));
    EXPECT_EQ(reply.content_type, "application/problem+json");
  }
  EXPECT_EQ(running.get("/api/v1/sessions/" + id)["samples"]["received"], 0);
}

TEST(Sessions, BelongToTheKeyThatStartedThem) {
  ServeOptions options;  // printf %s one | sha256sum
  options.keys = {
      {"one", "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed", Role::kStream},
      {"two", "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3", Role::kStream}};
  Running running(std::move(options));
  const std::string id = started(running, "one");
  EXPECT_EQ(running.call("GET", "/api/v1/analysis/motifs?sessionId=" + id, "", "one").status, 200);
  for (const auto& [method, target] : std::vector<std::pair<std::string, std::string>>{
           {"GET", "/api/v1/analysis/motifs?sessionId=" + id},
           {"GET", "/api/v1/analysis/synchrony?sessionId=" + id},
           {"GET", "/api/v1/analysis/behavioral?session_id=" + id},
           {"GET", "/api/v1/sessions/" + id}}) {
    EXPECT_EQ(running.call(method, target, "", "two").status, 404) << target;
  }
  const std::string samples_of_two = stream_body(id, samples(0, 1));
  EXPECT_EQ(running.call("PUT", "/api/v1/analysis/stream", samples_of_two, "two").status, 400);
  const std::string stop = json{{"sessionId", id}}.dump();
  EXPECT_EQ(running.call("POST", "/api/v1/analysis/stop", stop, "two").status, 404);
  const json list = json::parse(running.call("GET", "/api/v1/sessions", "", "two").body);
  EXPECT_TRUE(list["sessions"].empty());
  EXPECT_EQ(running.call("POST", "/api/v1/analysis/stop", stop, "one").status, 200);
}

TEST(Sessions, AreLimitedAndEndWhenNobodyUsesThem) {
  ServeOptions options;
  options.sessions.limit = 2;
  options.sessions.idle = std::chrono::seconds(0);
  Running running(std::move(options));
  started(running);
  started(running);
  const Reply third = running.call("POST", "/api/v1/analysis/start");
  EXPECT_EQ(third.status, 503);
  EXPECT_THAT(third.body, HasSubstr("too_many_sessions"));
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  running.on_loop([&] { sweep_sessions(running.service); });
  EXPECT_TRUE(running.get("/api/v1/sessions")["sessions"].empty());
  started(running);
}

TEST(Sessions, SurviveAReloadAndNameTheNewVersion) {
  Running running;
  const std::string id = started(running);
  running.call("PUT", "/api/v1/analysis/stream", stream_body(id, samples(0, 8)));
  running.windows(id, 1);
  const auto newer = load_model(written_bundle("v\nw\nx\ny\nz\n"), "net", "2", 1);
  ASSERT_TRUE(newer.ok());
  running.on_loop([&] { running.service.models.loaded["net"]["2"] = *newer; });
  running.call("PUT", "/api/v1/analysis/stream", stream_body(id, samples(8, 4)));
  const json session = running.windows(id, 2);
  EXPECT_EQ(session["windows"][0]["model_version"], "1");
  EXPECT_EQ(session["windows"][1]["model_version"], "2");
  EXPECT_GE(session["windows"][1]["label"], "v");
}

TEST(Sessions, PassOverAnyNumberOfWindowsWhileTheirModelIsGone) {
  constexpr size_t kInstants = 200'000;
  ServeOptions options;
  options.sessions.ring_samples = kInstants;
  Running running(std::move(options));
  const Reply reply = running.call("POST", "/api/v1/analysis/start", R"({"hopMs":10})");
  const std::string id = json::parse(reply.body)["sessionId"];
  std::vector<SessionSample> given(kInstants * kSensors);
  for (size_t i = 0; i < given.size(); ++i) {
    given[i].sensor = static_cast<uint32_t>(i % kSensors);
    given[i].given = kAcceleration;
    given[i].sample.time_us = static_cast<int64_t>(i / kSensors) * 10'000;
  }
  running.on_loop([&] {
    running.service.models.loaded.clear();
    const SessionPointer session = find_session(running.service, {"", true}, id);
    ASSERT_NE(session, nullptr);
    feed_session(running.service, session, given);
    EXPECT_EQ(session->missing, kInstants - kSamples + 1);
    EXPECT_EQ(session->trouble, "its model is not loaded any more");
  });
}

TEST(Sessions, WebSocketClientsStreamAndFollow) {
  Running running;
  std::vector<std::string> sent;
  running.on_loop([&] {
    Socket socket;
    socket.id = 5;
    socket.send = [&](std::string text) { sent.push_back(std::move(text)); };
    socket.close = [] {};
    open_socket(running.service, Request{}, socket);
    receive_message(running.service, 5, R"({"type":"start","hop_ms":40,"signals":true})", false);
  });
  const json begun = json::parse(sent.at(0));
  ASSERT_EQ(begun["type"], "started") << begun.dump();
  const std::string id = begun["session_id"];
  const json message = {
      {"type", "samples"}, {"session_id", id}, {"seq", 7}, {"samples", samples(0, 8)}};
  running.on_loop([&] { receive_message(running.service, 5, message.dump(), false); });
  running.windows(id, 1);
  running.on_loop([&] {
    receive_message(running.service, 5, "{", false);
    receive_message(running.service, 5, "GRS1", true);
    receive_message(running.service, 5, R"({"type":"what"})", false);
    receive_message(running.service, 5, json{{"type", "stop"}, {"session_id", id}}.dump(), false);
    tend_sockets(running.service);
    forget_socket(running.service, 5);
  });
  std::vector<std::string> types;
  for (const std::string& text : sent) types.push_back(json::parse(text)["type"]);
  EXPECT_THAT(types, testing::ElementsAre("started", "accepted", "behavioral_update",
                                          "signal_update", "error", "error", "error", "stopped"));
  EXPECT_EQ(json::parse(sent[1])["seq"], 7);
  EXPECT_EQ(json::parse(sent[2])["data"]["window"]["number"], 0);
  EXPECT_EQ(json::parse(sent[3])["signals"]["sensors"].size(), kSensors);
}

TEST(Sessions, PagesOfOtherOriginsMayNotConnect) {
  Running running;
  Request request;
  request.path = "/ws/v1/analysis";
  request.headers = {{"host", "pi:9000"}, {"origin", "http://pi:9000"}};
  EXPECT_FALSE(judge_upgrade(running.service, request).has_value());
  request.headers[1].value = "http://elsewhere";
  EXPECT_EQ(judge_upgrade(running.service, request)->status, 403);
}

TEST(SessionJson, ReadsBothFormsAndBinary) {
  const auto b = parse_session_message(
      R"({"session_id":"x","samples":[{"timestamp_ms":1500,"imu":{"accel":[1,2,3],"gyro":[4,5,6],
      "mag":[7,8,9]},"imu2":{"accel":[3,2,1]}}]})",
      10);
  ASSERT_TRUE(b.ok()) << b.error().message();
  ASSERT_EQ(b->samples.size(), 2u);
  EXPECT_EQ(b->form, SessionForm::kB);
  EXPECT_EQ(b->samples[0].sample.time_us, 1500000);
  EXPECT_EQ(b->samples[0].sample.values[8], 9.0f);
  EXPECT_EQ(b->samples[1].sensor, 1u);
  EXPECT_EQ(b->samples[1].given, kAcceleration);
  std::string bytes =
      "GRS1" + std::string("\x01\x23\x45\x67\x89\xab\xcd\xef", 8) + std::string(8, '\x11');
  const uint32_t head[] = {9, 1};
  const double t = 2.5;
  const uint32_t sensor[] = {1, 0};
  const float values[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  bytes.append(reinterpret_cast<const char*>(head), 8);
  bytes.append(reinterpret_cast<const char*>(&t), 8);
  bytes.append(reinterpret_cast<const char*>(sensor), 8);
  bytes.append(reinterpret_cast<const char*>(values), 36);
  const auto binary = parse_binary_samples(bytes, 10);
  ASSERT_TRUE(binary.ok()) << binary.error().message();
  EXPECT_EQ(binary->session_id, "01234567-89ab-cdef-1111-111111111111");
  EXPECT_EQ(binary->samples[0].sample.time_us, 2500000);
  EXPECT_EQ(binary->samples[0].sample.values[8], 9.0f);
  EXPECT_FALSE(parse_binary_samples(bytes.substr(1), 10).ok());
  EXPECT_FALSE(parse_binary_samples(bytes, 0).ok());
}

}  // namespace
}  // namespace graupel::serve
