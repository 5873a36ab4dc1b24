// The server under load while its device fails in every way the STAND-IN library can play: no
// request fails, each answer is the right one and names its engine, and readiness stays.
#include <dlfcn.h>
#include <gmock/gmock.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "npu/test_bundle.h"
#include "serve/test_server.h"

namespace graupel::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using namespace std::chrono_literals;

const std::string kLibrary = GRAUPEL_STANDIN_FOLDER "/libhailort_standin_4_23.so";

void play(const std::string& script) {
  void* const library = dlopen(kLibrary.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  reinterpret_cast<void (*)(const char*)>(dlsym(library, "graupel_standin_script"))(script.c_str());
}

ServeOptions options_of(const std::string& path) {
  ServeOptions options;
  options.workers = 2;
  options.models.push_back({"net", "1", path});
  options.engine.library = kLibrary;
  options.engine.deadline_ms = 100;
  options.engine.shadow_every = 5;
  options.engine.breaker.first_wait_ns = 5'000'000;
  options.engine.breaker.longest_wait_ns = 20'000'000;
  return options;
}

// The body of a 200; anything else is a failed request.
std::string ask(uint16_t port, const std::string& method, const std::string& target,
                const std::string& body = "") {
  const Answer answer = call(port, method, target, body);
  EXPECT_EQ(answer.status, 200) << answer.head << answer.body.substr(0, 200);
  return answer.body;
}

struct Load {
  std::vector<std::string> bodies;
  std::vector<std::vector<float>> logits;
  std::atomic<int> on_device{0}, on_cpu{0};
};

void fill(Load& load, const npu::TestBundle& made) {
  const Result<npu::Network> cpu = npu::cpu_network(made.engine);
  for (int i = 0; i < 8; ++i) {
    const std::vector<float> window = npu::test_window(made, i);
    const json input = {
        {"name", "raw"}, {"shape", made.window}, {"datatype", "FP32"}, {"data", window}};
    load.bodies.push_back(
        json({{"inputs", json::array({input})}, {"outputs", {{{"name", "logits"}}}}}).dump());
    const std::vector<Tensor> outputs = cpu->cpu(window).value();
    const auto values = outputs[cpu->compared_output].data<float>();
    load.logits.emplace_back(values.begin(), values.end());
  }
}

void ask_model(uint16_t port, Load& load, size_t i) {
  const json reply =
      json::parse(ask(port, "POST", "/v2/models/net/infer", load.bodies[i]), nullptr, false);
  ASSERT_TRUE(reply.is_object());
  EXPECT_EQ(reply["outputs"][0]["data"].get<std::vector<float>>(), load.logits[i]) << reply;
  const json& parameters = reply["parameters"];
  const bool device = parameters["engine"].get<std::string>().starts_with("hailort/");
  EXPECT_EQ(device, !parameters.contains("fallback_reason")) << reply;
  ++(device ? load.on_device : load.on_cpu);
}

TEST(ServeDevice, NoRequestFailsWhateverTheDeviceDoes) {
  const npu::TestBundle made = npu::exact_bundle(2);
  const std::string path = testing::TempDir() + "serve_device.graupel";
  ASSERT_TRUE(bundle::write_bundle(path, made.bundle).ok());
  play("");
  {
    TestServer running(options_of(path));
    const uint16_t port = running.server->port();
    Load load;
    fill(load, made);
    ask_model(port, load, 0);
    EXPECT_EQ(load.on_device, 1);
    EXPECT_THAT(ask(port, "GET", "/healthz"), HasSubstr("\"device\":\"hailort/4.23.0 HAILO8\""));
    EXPECT_THAT(ask(port, "GET", "/metrics"),
                HasSubstr("graupel_device_temperature_celsius{model=\"net\",version=\"1\"} 43.25"));
    std::atomic<bool> over{false};
    std::vector<std::thread> clients;
    for (size_t c = 0; c < 4; ++c) {
      clients.emplace_back([&, c] {
        for (size_t i = c; !over && !testing::Test::HasFailure(); ++i) {
          ask_model(port, load, i % load.bodies.size());
        }
      });
    }
    for (const char* script : {"fault read 4 3", "fault write 63 2", "hang read 250 1", "devices 0",
                               "fault vdevice 74 4", "fault read 36 20", "fault configure 36 3",
                               "hang write 250 2", "fault scan 64 5;fault read 62 1"}) {
      play(script);
      std::this_thread::sleep_for(80ms);
      EXPECT_THAT(ask(port, "GET", "/readyz"), HasSubstr("\"ready\":true"));
      play("");
      std::this_thread::sleep_for(80ms);
    }
    over = true;
    for (std::thread& client : clients) client.join();
    EXPECT_GT(load.on_device, 20);
    EXPECT_GT(load.on_cpu, 20);
    play("devices 0");
    ask_model(port, load, 1);
    const std::string metrics = ask(port, "GET", "/metrics");
    EXPECT_THAT(metrics, HasSubstr("graupel_fallbacks_total{model=\"net\",reason=\"timeout\"}"));
    EXPECT_THAT(metrics, HasSubstr("graupel_engine_state_info{model=\"net\",version=\"1\""));
    EXPECT_THAT(metrics,
                HasSubstr("graupel_shadow_disagreements_total{model=\"net\",version=\"1\"} 0"));
    play("");
  }
  std::remove(path.c_str());
}

}  // namespace
}  // namespace graupel::serve
