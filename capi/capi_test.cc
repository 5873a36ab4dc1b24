// The C interface through the shared library: answers equal the engine's, mistakes get a code.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bundle/bundle.h"
#include "graupel.h"
#include "run/engine.h"
#include "run/plan_builder.h"

namespace graupel {
namespace {

struct Capi : ::testing::Test {
  std::string path = ::testing::TempDir() + "graupel_capi_" + std::to_string(getpid()) + ".graupel";
  std::vector<float> window = std::vector<float>(144, 0.5f);
  char error[200] = "";

  void SetUp() override {
    bundle::Bundle made;
    made.manifest.model_name = "net";
    made.manifest.stage = bundle::Stage::kCompiled;
    made.members["cpu.plan"] = run::format_plan(run::sample_plan());
    made.members["labels"] = "sit\nstand\nwalk\nrun\nfall\n";
    ASSERT_TRUE(bundle::write_bundle(path, made).ok());
    for (size_t i = 0; i < window.size(); ++i)
      window[i] = 0.03f * static_cast<float>(i % 31) - 0.4f;
  }
  void TearDown() override { std::filesystem::remove(path); }
  graupel_engine* open() {
    graupel_engine* engine = nullptr;
    EXPECT_EQ(graupel_open(path.c_str(), nullptr, &engine, error, sizeof error), GRAUPEL_OK)
        << error;
    return engine;
  }
};

TEST_F(Capi, AnswersAsTheEngineDoes) {
  Result<run::Engine> direct = run::load_engine(run::sample_plan());
  ASSERT_TRUE(direct.ok() && run::run(*direct, window).ok());
  graupel_engine* engine = open();
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(graupel_abi(), GRAUPEL_ABI);
  EXPECT_STREQ(graupel_model(engine), "net");
  EXPECT_EQ(graupel_input_size(engine), 144u);
  ASSERT_EQ(graupel_input_rank(engine), 4u);
  EXPECT_EQ(graupel_input_shape(engine)[1], 3);
  ASSERT_EQ(graupel_run(engine, window.data(), window.size()), GRAUPEL_OK);
  ASSERT_EQ(graupel_output_count(engine), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const std::span<const std::byte> expected = run::output_bytes(*direct, i);
    EXPECT_EQ(std::memcmp(graupel_output_data(engine, i), expected.data(), expected.size()), 0);
  }
  EXPECT_STREQ(graupel_output_name(engine, 0), "logits");
  EXPECT_EQ(graupel_output_type(engine, 2), GRAUPEL_INT64);
  EXPECT_EQ(graupel_output_size(engine, 0), 5u);
  graupel_answer answer{};
  answer.size = sizeof answer;
  ASSERT_EQ(graupel_get_answer(engine, &answer), GRAUPEL_OK);
  const auto* logits = static_cast<const float*>(graupel_output_data(engine, 0));
  const auto* probabilities = static_cast<const float*>(graupel_output_data(engine, 1));
  for (int i = 0; i < 5; ++i) EXPECT_LE(logits[i], logits[answer.class_index]);
  EXPECT_NEAR(answer.probability, probabilities[answer.class_index], 1e-6);
  EXPECT_STREQ(answer.label, graupel_label(engine, static_cast<size_t>(answer.class_index)));
  EXPECT_EQ(answer.fsq_code, 8 * answer.class_index);
  graupel_close(engine);
}

TEST_F(Capi, ClonesRunOnThreadsOfTheirOwn) {
  graupel_engine* engine = open();
  ASSERT_EQ(graupel_run(engine, window.data(), window.size()), GRAUPEL_OK);
  std::vector<graupel_engine*> clones(3, nullptr);
  for (graupel_engine*& copy : clones) ASSERT_EQ(graupel_clone(engine, &copy), GRAUPEL_OK);
  std::vector<std::thread> threads;
  for (graupel_engine* copy : clones) {
    threads.emplace_back([&, copy] {
      for (int i = 0; i < 50; ++i) graupel_run(copy, window.data(), window.size());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (graupel_engine* copy : clones) {
    EXPECT_EQ(std::memcmp(graupel_output_data(copy, 0), graupel_output_data(engine, 0), 20), 0);
    EXPECT_STREQ(graupel_label(copy, 4), "fall");
    graupel_close(copy);
  }
  graupel_close(engine);
}

TEST_F(Capi, ABatchGivesTheAnswersOfOneWindowAtATime) {
  graupel_engine* engine = open();
  graupel_engine* many = nullptr;
  ASSERT_EQ(graupel_clone_for(engine, 3, 2, &many), GRAUPEL_OK);
  EXPECT_EQ(graupel_batch(engine), 1u);
  EXPECT_EQ(graupel_batch(many), 3u);
  EXPECT_EQ(graupel_threads(many), 1u);  // no step of it is worth a second thread
  EXPECT_GE(graupel_usual_batch(engine), 1u);
  EXPECT_LE(graupel_usual_batch(engine), 64u);
  std::vector<float> windows;
  for (int w = 0; w < 3; ++w) {
    for (const float value : window)
      windows.push_back(value * (1.0f - 0.7f * static_cast<float>(w)));
  }
  ASSERT_EQ(graupel_run_batch(many, windows.data(), windows.size(), 3), GRAUPEL_OK);
  for (size_t w = 0; w < 3; ++w) {
    ASSERT_EQ(graupel_run(engine, windows.data() + w * 144, 144), GRAUPEL_OK);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(std::memcmp(graupel_batch_output_data(many, i, w), graupel_output_data(engine, i),
                            5 * sizeof(float)),
                0);
    }
    graupel_answer one{}, of_batch{};
    one.size = of_batch.size = sizeof one;
    ASSERT_EQ(graupel_get_answer(engine, &one), GRAUPEL_OK);
    ASSERT_EQ(graupel_get_batch_answer(many, w, &of_batch), GRAUPEL_OK);
    EXPECT_EQ(of_batch.class_index, one.class_index);
    EXPECT_EQ(of_batch.probability, one.probability);
    EXPECT_EQ(of_batch.fsq_code, one.fsq_code);
    EXPECT_STREQ(of_batch.label, one.label);
  }
  // Fewer than a batch: what the last run did not have is gone.
  ASSERT_EQ(graupel_run_batch(many, windows.data(), 2 * 144, 2), GRAUPEL_OK);
  EXPECT_NE(graupel_batch_output_data(many, 0, 1), nullptr);
  EXPECT_EQ(graupel_batch_output_data(many, 0, 2), nullptr);
  graupel_answer answer{};
  answer.size = sizeof answer;
  EXPECT_EQ(graupel_get_batch_answer(many, 2, &answer), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(graupel_run_batch(many, windows.data(), 4 * 144, 4), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(graupel_run_batch(many, windows.data(), 0, 0), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(graupel_run_batch(many, windows.data(), 144, 2), GRAUPEL_INVALID_INPUT);
  graupel_engine* copy = nullptr;
  ASSERT_EQ(graupel_clone(many, &copy), GRAUPEL_OK);
  EXPECT_EQ(graupel_batch(copy), 3u);
  graupel_close(copy);
  for (const auto& [batch, threads] : {std::pair<size_t, size_t>{0, 1}, {65, 1}, {1, 65}}) {
    EXPECT_EQ(graupel_clone_for(engine, batch, threads, &copy), GRAUPEL_INVALID_INPUT);
    EXPECT_EQ(copy, nullptr);
  }
  ASSERT_EQ(graupel_clone_for(engine, 64, 0, &copy), GRAUPEL_OK);
  graupel_close(copy);
  graupel_close(many);
  graupel_close(engine);
}

TEST_F(Capi, SaysWhatIsWrong) {
  graupel_engine* engine = nullptr;
  EXPECT_EQ(graupel_open("/nowhere", nullptr, &engine, error, sizeof error), GRAUPEL_IO);
  EXPECT_EQ(engine, nullptr);
  EXPECT_NE(std::string(error).find("/nowhere"), std::string::npos);
  EXPECT_EQ(graupel_open(path.c_str(), "mmx", &engine, error, 10), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(std::strlen(error), 9u);
  EXPECT_EQ(graupel_open(nullptr, nullptr, &engine, nullptr, 0), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(graupel_open(path.c_str(), nullptr, nullptr, nullptr, 0), GRAUPEL_INVALID_INPUT);
  engine = open();
  EXPECT_EQ(graupel_run(engine, window.data(), 143), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(graupel_run(engine, nullptr, 144), GRAUPEL_INVALID_INPUT);
  graupel_answer answer{};
  EXPECT_EQ(graupel_get_answer(engine, &answer), GRAUPEL_INVALID_INPUT);
  EXPECT_EQ(graupel_output_data(engine, 3), nullptr);
  EXPECT_EQ(graupel_label(engine, 5), nullptr);
  EXPECT_EQ(graupel_input_size(nullptr), 0u);
  graupel_close(engine);
  graupel_close(nullptr);
}

TEST_F(Capi, TheExampleInCPrintsAnAnswer) {
  const std::string input = path + ".f32";
  std::FILE* file = std::fopen(input.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  constexpr int kWindows = 9;  // more than a batch
  for (int w = 0; w < kWindows; ++w) {
    ASSERT_EQ(std::fwrite(window.data(), sizeof(float), window.size(), file), window.size());
  }
  ASSERT_EQ(std::fclose(file), 0);
  const std::string command = std::string(GRAUPEL_C_EXAMPLE) + " " + path + " < " + input;
  std::FILE* pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char line[200] = "";
  std::vector<std::string> lines;
  while (std::fgets(line, sizeof line, pipe) != nullptr) lines.emplace_back(line);
  EXPECT_EQ(pclose(pipe), 0);
  ASSERT_EQ(lines.size(), static_cast<size_t>(kWindows));
  graupel_engine* engine = open();
  graupel_run(engine, window.data(), window.size());
  graupel_answer answer{};
  answer.size = sizeof answer;
  graupel_get_answer(engine, &answer);
  const std::string expected =
      "class " + std::to_string(answer.class_index) + " " + answer.label + ", probability";
  for (const std::string& each : lines) EXPECT_EQ(each.rfind(expected, 0), 0u) << each;
  graupel_close(engine);
  // A window cut short.
  const std::string cut =
      "head -c 1000 " + input + " | " + GRAUPEL_C_EXAMPLE + " " + path + " >/dev/null 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(cut.c_str())), 2);
  const int status =
      std::system((std::string(GRAUPEL_C_EXAMPLE) + " /nowhere 2>/dev/null").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  std::filesystem::remove(input);
}

}  // namespace
}  // namespace graupel
