// The whole stage on generated recordings: what it writes, that it is the same twice, what it
// refuses, and that its memory does not grow with the file.
#include "prepare/prepare.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "base/rng.h"
#include "data/npy.h"

// clang says it by a feature, g++ by a macro.
#if defined(__has_feature)
#define GRAUPEL_CLANG_SANITIZES \
  (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define GRAUPEL_CLANG_SANITIZES 0
#endif

namespace graupel::prepare {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHeader = "timestamp,sensor,label,subject,ax,ay,az,gx,gy,gz,mx,my,mz\n";

// People walking and sitting with two sensors at 50 Hz, half a minute each.
struct Recording {
  int people = 8;
  int seconds = 30;
  double gravity = 9.81;
  int mixed_person = 0;  // records in g
  int dead_person = 0;   // without a magnetometer
  bool dead_for_all = false;
};

std::string recording(const Recording& options) {
  std::string text = kHeader;
  for (int person = 1; person <= options.people; ++person) {
    Rng rng(static_cast<uint64_t>(person));
    for (const char* const label : {"walk", "sit"}) {
      const double swing = label[0] == 'w' ? 2.0 : 0.02;
      const double start_s = label[0] == 'w' ? 0.0 : 1000.0;
      const double unit = person == options.mixed_person ? 1.0 / 9.80665 : 1.0;
      const bool dead = options.dead_for_all || person == options.dead_person;
      for (int i = 0; i < options.seconds * 50; ++i) {
        const double phase = i / 50.0 * 2.0 * 3.14159265 * (1.5 + 0.05 * person);
        for (const char* const sensor : {"hip", "wrist"}) {
          text += fmt::format("{:.3f},{},{},{}", start_s + i / 50.0, sensor, label, person);
          text += fmt::format(",{:.4f},{:.4f},{:.4f}",
                              unit * swing * (std::sin(phase) + 0.1 * rng.normal()),
                              unit * swing * 0.2 * rng.normal(),
                              unit * (options.gravity + swing * std::cos(2 * phase)));
          text += fmt::format(",{:.4f},{:.4f},{:.4f}", 0.3 * swing * std::sin(phase),
                              0.2 * swing * rng.normal(), 0.1 * swing * std::cos(phase));
          text += dead ? ",,,\n" : fmt::format(",{:.4f},0.4,-0.3\n", 0.5 + 0.01 * rng.normal());
        }
      }
    }
  }
  return text;
}

class Prepare : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = ::testing::TempDir() + "graupel_prepare_" + test->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
    options_.input = root_ + "/rec.csv";
    options_.output = root_ + "/out";
    options_.recipe.sensors = {"hip", "wrist"};
    options_.recipe.window_samples = 50;
    options_.recipe.hop_samples = 25;
  }
  void TearDown() override { fs::remove_all(root_); }
  Result<Prepared> run(const std::string& text) {
    EXPECT_TRUE(write_file_atomic(options_.input, text).ok());
    return prepare(options_);
  }
  std::string out(const std::string& name) const { return options_.output + "/" + name; }

  std::string root_;
  PrepareOptions options_;
};

TEST_F(Prepare, WritesSplitsScalesCalibrationAndCard) {
  Recording longer;
  longer.seconds = 40;
  const Result<Prepared> prepared = run(recording(longer));
  ASSERT_TRUE(prepared.ok()) << prepared.error().message();
  EXPECT_TRUE(prepared->leakage.clean());
  size_t windows = 0;
  std::set<int64_t> people;
  for (const PreparedSplit& split : prepared->splits) {
    const std::string& name = split.split.name;
    const Tensor x = data::read_npy(out(name + "/windows.npy")).value();
    const Tensor labels = data::read_npy(out(name + "/labels.npy")).value();
    const Tensor groups = data::read_npy(out(name + "/groups.npy")).value();
    EXPECT_EQ(x.shape(), (Shape{static_cast<int64_t>(split.windows), 9, 2, 50}));
    EXPECT_EQ(labels.shape(), (Shape{x.shape()[0]}));
    EXPECT_EQ(groups.shape(), (Shape{x.shape()[0]}));
    for (const int64_t person : split.split.subjects) EXPECT_TRUE(people.insert(person).second);
    windows += split.windows;
  }
  EXPECT_EQ(windows, prepared->windows);
  EXPECT_EQ(people.size(), 8u);
  // 40 s at 25 Hz: 1000 samples, (1000 - 50) / 25 + 1 windows for each of 16 recordings.
  EXPECT_EQ(windows, 16u * 39u);
  const Tensor calibration = data::read_npy(out("calibration_data.npy")).value();
  EXPECT_EQ(calibration.shape()[0], static_cast<int64_t>(prepared->calibration_windows));
  EXPECT_EQ(calibration.shape()[0], 78) << "one person has no more";
}

TEST_F(Prepare, ScalesAreThoseOfTheTrainingWindowsOnly) {
  for (const ScaleBy scale : {ScaleBy::kChannel, ScaleBy::kSensor}) {
    options_.scale = scale;
    options_.centred = {6, 7, 8};
    options_.clip = 12.0;
    options_.recipe.hop_samples = 10;
    ASSERT_TRUE(run(recording({})).ok());
    const Tensor train = data::read_npy(out("train/windows.npy")).value();
    const Tensor centred = data::remove_window_mean(train, {6, 7, 8}).value();
    const auto channels = data::channel_statistics(centred).value();
    data::Normalization expected = data::normalization_of(channels);
    if (scale == ScaleBy::kSensor) {
      expected = data::grouped_normalization_of(channels, {0, 0, 0, 1, 1, 1, 2, 2, 2}).value();
    }
    const data::Normalization found =
        data::parse_normalization(read_file(out("normalization.json")).value()).value();
    EXPECT_EQ(found.centred, (std::vector<int64_t>{6, 7, 8}));
    EXPECT_EQ(found.clip, 12.0);
    EXPECT_EQ(found.epsilon, 1e-8);
    for (size_t c = 0; c < 9; ++c) {
      EXPECT_NEAR(found.mean[c], expected.mean[c], 1e-9);
      EXPECT_NEAR(found.std[c], expected.std[c], 1e-9);
    }
  }
}

TEST_F(Prepare, TheSameInputGivesTheSameBytes) {
  options_.recipe.hop_samples = 10;
  ASSERT_TRUE(run(recording({})).ok());
  std::map<std::string, std::string> first;
  const auto collect = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(options_.output)) {
      if (entry.is_regular_file()) {
        files[fs::relative(entry.path(), options_.output).string()] =
            read_file(entry.path().string()).value();
      }
    }
    return files;
  };
  first = collect();
  EXPECT_EQ(first.size(), 12u + 2u + 4u + 8u)
      << "3 per split, calibration 2, scales, names, 2 cards, 8 plots";
  ASSERT_TRUE(prepare(options_).ok());
  EXPECT_EQ(collect(), first);
}

TEST_F(Prepare, TheCardSaysWhatWasReadAndLeftOut) {
  options_.recipe.hop_samples = 10;
  std::string text = recording({});
  const std::string row = text.substr(text.find('\n') + 1, 200);
  text += "99.0,hip,walk\n";  // ragged
  ASSERT_TRUE(run(text).ok());
  const nlohmann::json card =
      nlohmann::json::parse(read_file(out("data_card.json")).value(), nullptr, false);
  ASSERT_TRUE(card.is_object());
  EXPECT_EQ(card["left_out_or_repaired"]["ragged_rows"]["count"], 1);
  EXPECT_EQ(card["rows"], 8 * 2 * 30 * 50 * 2 + 1);
  EXPECT_EQ(card["subjects"].size(), 8u);
  EXPECT_EQ(card["subjects"][0]["channels"].size(), 18u);
  EXPECT_EQ(card["leakage"]["shared_subjects"], 0);
  const std::string markdown = read_file(out("data_card.md")).value();
  for (const char* const part : {"| sensors | hip, wrist", "a field too few, too many", "1 rows",
                                 "plots/subject_8.svg", "none: no person and no window"}) {
    EXPECT_NE(markdown.find(part), std::string::npos) << part << "\n" << markdown;
  }
  const std::string svg = read_file(out("plots/subject_3.svg")).value();
  EXPECT_NE(svg.find("person 3"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST_F(Prepare, AllFoldsHaveScalesOfTheirTrainingPeople) {
  options_.split.kind = SplitKind::kAllFolds;
  options_.recipe.hop_samples = 10;
  const Result<Prepared> prepared = run(recording({}));
  ASSERT_TRUE(prepared.ok()) << prepared.error().message();
  const Tensor windows = data::read_npy(out("all/windows.npy")).value();
  const std::vector<int64_t> groups = data::read_npy(out("all/groups.npy")).value().to_int64s();
  const nlohmann::json folds =
      nlohmann::json::parse(read_file(out("folds.json")).value(), nullptr, false);
  ASSERT_EQ(folds.size(), 8u);
  const auto train = folds[2]["train"].get<std::set<int64_t>>();
  EXPECT_EQ(folds[2]["test"], nlohmann::json::array({3}));
  EXPECT_FALSE(train.contains(3));
  double sum = 0.0, count = 0.0;
  const size_t size = windows.size() / groups.size();
  for (size_t i = 0; i < windows.size(); ++i) {
    if (!train.contains(groups[i / size]) || i % size >= 100) continue;
    sum += static_cast<double>(windows.data<float>()[i]);
    count += 1.0;
  }
  const data::Normalization fold =
      data::parse_normalization(read_file(out("folds/3/normalization.json")).value()).value();
  EXPECT_NEAR(fold.mean[0], sum / count, 1e-9);
  EXPECT_TRUE(fs::exists(out("folds/8/calibration_data.npy")));
}

// ---- bad input ----

TEST_F(Prepare, RefusesWithAReason) {
  options_.recipe.hop_samples = 10;
  const auto error = [&](const std::string& text) {
    const Result<Prepared> prepared = run(text);
    return prepared.ok() ? "" : prepared.error().message();
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  Recording one;
  one.people = 1;
  EXPECT_TRUE(has(error(recording(one)), "windows come from 1 person"));
  Recording mixed;
  mixed.mixed_person = 4;
  EXPECT_TRUE(has(error(recording(mixed)), "mixed units")) << error(recording(mixed));
  EXPECT_TRUE(has(error(recording(mixed)), "subject 4"));
  Recording dead;
  dead.dead_for_all = true;
  EXPECT_TRUE(has(error(recording(dead)), "nobody's recording holds a number in mx of hip"));
  Recording brief;
  brief.seconds = 1;
  EXPECT_TRUE(has(error(recording(brief)), "none came out")) << error(recording(brief));
  options_.split.calibration_subjects = {2};
  options_.recipe.hop_samples = 25;
  EXPECT_TRUE(has(error(recording({})), "calibration set: has 58 windows")) << error(recording({}));
  options_.recipe.sensors = {"hip", "foot"};
  EXPECT_TRUE(has(error(recording({})), "no sensor 'foot'"));
  options_.input = root_ + "/none.csv";
  EXPECT_FALSE(prepare(options_).ok());
}

TEST_F(Prepare, APersonWithADeadChannelIsLeftOutAndNamed) {
  Recording dead;
  dead.dead_person = 5;
  options_.recipe.hop_samples = 10;
  const Result<Prepared> prepared = run(recording(dead));
  ASSERT_TRUE(prepared.ok()) << prepared.error().message();
  ASSERT_EQ(prepared->tally.notes.size(), 1u);
  EXPECT_NE(prepared->tally.notes[0].find("person 5 is left out"), std::string::npos);
  for (const PreparedSplit& split : prepared->splits) {
    for (const int64_t person : split.split.subjects) EXPECT_NE(person, 5);
  }
}

// ---- memory ----

// A child process reads a file many times the memory it may take.
TEST_F(Prepare, MemoryDoesNotGrowWithTheFile) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || GRAUPEL_CLANG_SANITIZES
  GTEST_SKIP() << "sanitizers take memory of their own";
#else
  const std::string block = recording({});
  const size_t header = block.find('\n') + 1;
  {
    std::ofstream file(options_.input, std::ios::binary);
    file << block.substr(0, header);
    for (int copy = 0; copy < 12; ++copy) file << std::string_view(block).substr(header);
  }
  ASSERT_GT(fs::file_size(options_.input), 40u << 20);
  struct rusage before {
  }, after{};
  ::getrusage(RUSAGE_SELF, &before);
  options_.recipe.hop_samples = 10;
  const Result<Prepared> prepared = prepare(options_);
  ASSERT_TRUE(prepared.ok()) << prepared.error().message();
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 << 10) << "KB";
  EXPECT_GT(prepared->windows * 9 * 2 * 50 * 4, size_t{20} << 20) << "bytes of windows";
#endif
}

}  // namespace
}  // namespace graupel::prepare
