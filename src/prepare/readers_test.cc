// Lines, and small files of each published form written here exactly as they are published.
#include "prepare/readers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/files.h"
#include "prepare/runs.h"

namespace graupel::prepare {
namespace {

namespace fs = std::filesystem;

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    const ::testing::TestInfo* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = ::testing::TempDir() + "graupel_readers_" + test->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) {
    fs::create_directories(fs::path(root_ + "/" + name).parent_path());
    ASSERT_TRUE(write_file_atomic(root_ + "/" + name, text).ok());
  }
  // Reads root_ (or a file below it) in the given form.
  Result<void> read(Form form, const std::string& toml = "", RecipeOptions options = {},
                    const std::string& name = "") {
    TRY_ASSIGN(recipe_, make_recipe(form, options, toml, "config.toml"));
    tally_ = {};
    runs_.clear();
    return read_recordings(root_ + name, recipe_, tally_, [this](RawRun&& run) {
      runs_.push_back(std::move(run));
      return ok();
    });
  }
  std::string root_;
  Recipe recipe_;
  Tally tally_;
  std::vector<RawRun> runs_;
};

// ---- lines and numbers ----

TEST_F(Folder, LinesComeOneByOneWhateverTheirEnds) {
  std::string text = "one\r\n\ntwo";
  for (int i = 0; i < 200000; ++i) text += "\nline " + std::to_string(i);  // several buffers
  write("lines.txt", text);
  LineReader file = LineReader::open(root_ + "/lines.txt").value();
  LineReader memory = LineReader::over(text, "text");
  for (LineReader* const reader : {&file, &memory, &file}) {
    ASSERT_TRUE(reader->rewind().ok());
    std::string_view line;
    ASSERT_TRUE(reader->next(line).value());
    EXPECT_EQ(line, "one");
    ASSERT_TRUE(reader->next(line).value());
    EXPECT_EQ(line, "");
    ASSERT_TRUE(reader->next(line).value());
    EXPECT_EQ(line, "two");
    for (int i = 0; i < 200000; ++i) {
      ASSERT_TRUE(reader->next(line).value());
      ASSERT_EQ(line, "line " + std::to_string(i));
    }
    EXPECT_FALSE(reader->next(line).value());
    EXPECT_EQ(reader->line_number(), 200003);
  }
  std::string_view line;
  LineReader endless = LineReader::over(std::string(70000, 'x'), "text");
  EXPECT_FALSE(endless.next(line).ok());
  EXPECT_FALSE(LineReader::open(root_ + "/none").ok());
  EXPECT_FALSE(LineReader::open(root_).value().next(line).ok()) << "a folder";
}

TEST(Reading, IsANumberMissingOrWrong) {
  EXPECT_EQ(parse_reading("-1.5"), -1.5);
  EXPECT_EQ(parse_reading("+2"), 2.0);
  EXPECT_EQ(parse_reading("1.8085150e-004"), 1.8085150e-4);  // as UCI HAR writes it
  for (const char* const missing : {"", "NaN", "nan", "1e999", "1e300", "inf"}) {
    ASSERT_TRUE(parse_reading(missing).has_value()) << missing;
    EXPECT_TRUE(std::isnan(*parse_reading(missing))) << missing;
  }
  for (const char* const wrong : {"x", "1,5", "1 2", "+", "--1", "0x10", "1.5m"}) {
    EXPECT_FALSE(parse_reading(wrong).has_value()) << wrong;
  }
  EXPECT_EQ(parse_whole("12"), 12);
  EXPECT_FALSE(parse_whole("1.5").has_value());
  EXPECT_FALSE(parse_whole("").has_value());
}

// ---- DSADS ----

// 125 rows; column k of row r is base + k / 100 + r / 10000.
std::string dsads_segment(double base, int rows = 125) {
  std::string text;
  for (int r = 0; r < rows; ++r) {
    for (int k = 0; k < 45; ++k) {
      text += fmt::format("{}{:.6g}", k > 0 ? "," : "", base + k / 100.0 + r / 10000.0);
    }
    text += "\n";
  }
  return text;
}

TEST_F(Folder, DsadsSegmentsAreOneRecordingExceptOnTheStairs) {
  for (const char* const name : {"a01/p1/s01", "a01/p1/s02", "a01/p1/s04", "a05/p1/s01",
                                 "a05/p1/s02", "a08/p1/s01", "a03/p2/s01"}) {
    write(std::string(name) + ".txt", dsads_segment(9.0));
  }
  EXPECT_EQ(detect_form(root_).value(), Form::kDsads);
  ASSERT_TRUE(read(Form::kDsads).ok());
  std::vector<std::tuple<int64_t, std::string, size_t>> found;
  for (const RawRun& run : runs_) {
    found.emplace_back(run.subject, recipe_.classes[static_cast<size_t>(run.label)],
                       run.sensors[0].rows());
  }
  EXPECT_EQ(found, (std::vector<std::tuple<int64_t, std::string, size_t>>{{1, "sit", 250},
                                                                          {1, "sit", 125},
                                                                          {1, "stairs_up", 125},
                                                                          {1, "stairs_up", 125},
                                                                          {2, "lie", 125}}));
  EXPECT_EQ(tally_.files, 7);
  EXPECT_EQ(tally_.rows_read, 7 * 125);
  EXPECT_EQ(tally_[Reason::kMissingFile], 9120 - 7);
  EXPECT_EQ(tally_[Reason::kBorder], 2);
  EXPECT_EQ(tally_[Reason::kLeftOutLabel], 125) << "a08, moving around in an elevator";
  // torso is the first unit, right leg the fourth.
  EXPECT_NEAR(runs_[0].sensors[0].values[3], 9.03, 1e-9);
  EXPECT_NEAR(runs_[0].sensors[1].values[0], 9.27, 1e-9);
  EXPECT_EQ(runs_[0].sensors[1].time_s[100], 4.0);
  EXPECT_TRUE(tally_.notes.empty());
  write("a20/p1/s01.txt", dsads_segment(9.0));
  ASSERT_TRUE(read(Form::kDsads).ok());
  ASSERT_EQ(tally_.notes.size(), 1u);
  EXPECT_NE(tally_.notes[0].find("/a20 is not read"), std::string::npos);
}

TEST_F(Folder, DsadsKeepsAllNineteenWhenAsked) {
  write("a19/p8/s60.txt", dsads_segment(9.0));
  write("a01/p8/s60.txt", dsads_segment(9.0));
  RecipeOptions options;
  options.labels = LabelSet::kAll;
  options.sensors = {"left_leg"};
  ASSERT_TRUE(read(Form::kDsads, "", options).ok());
  EXPECT_EQ(recipe_.classes.size(), 19u);
  ASSERT_EQ(runs_.size(), 2u);
  EXPECT_EQ(recipe_.classes[static_cast<size_t>(runs_[1].label)], "a19 basketball");
}

TEST_F(Folder, DsadsRaggedRowsAreCountedAndManyAreRefused) {
  std::string damaged = dsads_segment(9.0);
  damaged.replace(damaged.find('\n') + 1, 4, "9;00");  // row 2: a field that is no number
  write("a01/p1/s01.txt", damaged);
  write("a01/p1/s02.txt", dsads_segment(9.0));
  ASSERT_TRUE(read(Form::kDsads).ok());
  EXPECT_EQ(tally_[Reason::kRaggedRow], 1);
  EXPECT_EQ(tally_.first_place[0], root_ + "/a01/p1/s01.txt:2");
  EXPECT_EQ(runs_.size(), 3u) << "the lost row and the short segment end runs";
  EXPECT_EQ(tally_.notes.size(), 1u);
  write("a01/p1/s02.txt", "1,2,3\n4,5,6\n7,8,9\n");
  const Result<void> many = read(Form::kDsads);
  ASSERT_FALSE(many.ok());
  EXPECT_NE(many.error().what.find("right kind of file"), std::string::npos);
}

// ---- MHEALTH ----

TEST_F(Folder, MhealthColumnsAndUnits) {
  // chest acc 1-3, ECG 4-5, ankle 6-14, arm 15-23, label 24
  std::string text;
  for (int r = 0; r < 6; ++r) {
    for (int k = 1; k <= 23; ++k) text += fmt::format("{}\t", k == 6 ? -9.81 : k);
    text += fmt::format("{}\n", r < 2 ? 0 : r < 5 ? 4 : 9);
  }
  write("mHealth_subject3.log", text);
  EXPECT_EQ(detect_form(root_).value(), Form::kMhealth);
  ASSERT_TRUE(read(Form::kMhealth).ok());
  ASSERT_EQ(runs_.size(), 2u);
  EXPECT_EQ(runs_[0].subject, 3);
  EXPECT_EQ(recipe_.classes[static_cast<size_t>(runs_[0].label)], "walk");
  EXPECT_EQ(recipe_.classes[static_cast<size_t>(runs_[1].label)], "cycle");
  const Series& ankle = runs_[0].sensors[0];
  const Series& arm = runs_[0].sensors[1];
  ASSERT_EQ(ankle.rows(), 3u);
  EXPECT_EQ(ankle.time_s[2], 2 / 50.0);
  EXPECT_EQ(ankle.values[0], -9.81);
  EXPECT_NEAR(ankle.values[3], 9.0 * 3.14159265358979323846 / 180.0, 1e-12) << "deg/s to rad/s";
  EXPECT_EQ(ankle.values[8], 14.0);
  EXPECT_EQ(arm.values[0], 15.0);
  EXPECT_EQ(arm.values[8], 23.0);
  EXPECT_EQ(tally_[Reason::kLeftOutLabel], 2);
  EXPECT_EQ(tally_[Reason::kMissingFile], 9);
}

TEST_F(Folder, MhealthUnknownLabelIsNamed) {
  std::string row;
  for (int k = 1; k <= 23; ++k) row += "1\t";
  write("mHealth_subject1.log", row + "4\n" + row + "77\n");
  const Result<void> unknown = read(Form::kMhealth);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message().find("mHealth_subject1.log:2: label '77'"),
            std::string::npos);
}

// ---- PAMAP2 ----

std::string pamap2_row(double time_s, int activity, double value, bool hand_missing = false) {
  std::string row = fmt::format("{:.2f} {} NaN", time_s, activity);
  for (int unit = 0; unit < 3; ++unit) {
    for (int k = 0; k < 17; ++k) {
      row += unit == 0 && hand_missing ? " NaN" : fmt::format(" {:.4f}", value + 100 * unit + k);
    }
  }
  return row + "\n";
}

TEST_F(Folder, Pamap2ColumnsTimesAndHoles) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += pamap2_row(8.38 + i * 0.01, 4, 1.0, i == 3);
  text += pamap2_row(8.5, 0, 1.0);
  text += pamap2_row(8.51, 24, 1.0);
  write("Protocol/subject101.dat", text);
  EXPECT_EQ(detect_form(root_).value(), Form::kPamap2);
  RecipeOptions options;
  options.sensors = {"hand", "ankle"};
  ASSERT_TRUE(read(Form::kPamap2, "", options).ok());
  ASSERT_EQ(runs_.size(), 2u);
  const Series& hand = runs_[0].sensors[0];
  ASSERT_EQ(hand.rows(), 10u);
  EXPECT_EQ(hand.time_s[9], 8.47);
  // temperature is column 0 of a unit, acceleration (16 g) 1-3, (6 g) 4-6, rotation 7-9, field
  // 10-12
  EXPECT_EQ(hand.values[0], 2.0);
  EXPECT_EQ(hand.values[2], 4.0);
  EXPECT_EQ(hand.values[3], 8.0);
  EXPECT_EQ(hand.values[5], 10.0);
  EXPECT_NEAR(hand.values[6], 11.0 / 50.0, 1e-12) << "uT to earth field";
  EXPECT_NEAR(runs_[0].sensors[1].values[8], 213.0 / 50.0, 1e-12);
  EXPECT_TRUE(std::isnan(hand.values[3 * kAxes]));
  EXPECT_EQ(recipe_.classes[static_cast<size_t>(runs_[1].label)], "jump");
}

// ---- UCI HAR ----

TEST_F(Folder, UciHarWindowsAreJoinedWhereTheyOverlap) {
  // Window w of the recording covers samples 64 w to 64 w + 127; the last one is somebody else.
  const auto line = [](int signal, int start) {
    std::string text;
    for (int i = 0; i < 128; ++i) text += fmt::format("  {:.7e}", signal + (start + i) * 1e-3);
    return text + "\n";
  };
  const char* const signals[] = {"total_acc_x", "total_acc_y", "total_acc_z",
                                 "body_gyro_x", "body_gyro_y", "body_gyro_z",
                                 "body_acc_x",  "body_acc_y",  "body_acc_z"};
  for (const std::string part : {"train", "test"}) {
    for (int s = 0; s < 9; ++s) {
      write(fmt::format("{0}/Inertial Signals/{1}_{0}.txt", part, signals[s]),
            line(s, 0) + line(s, 64) + line(s, 128) + line(s, 1000));
    }
    write(part + "/y_" + part + ".txt", "5\n5\n5\n5\n");
    write(part + "/subject_" + part + ".txt", part == "train" ? "1\n1\n1\n3\n" : "2\n2\n2\n2\n");
  }
  EXPECT_EQ(detect_form(root_).value(), Form::kUciHar);
  ASSERT_TRUE(read(Form::kUciHar).ok());
  ASSERT_EQ(runs_.size(), 4u);
  EXPECT_EQ(runs_[0].subject, 1);
  EXPECT_EQ(runs_[0].sensors[0].rows(), 256u);
  EXPECT_EQ(runs_[1].subject, 3);
  EXPECT_EQ(runs_[1].sensors[0].rows(), 128u);
  EXPECT_EQ(runs_[2].sensors[0].rows(), 256u);
  EXPECT_EQ(runs_[3].sensors[0].rows(), 128u) << "no overlap: a new recording";
  EXPECT_EQ(recipe_.classes[static_cast<size_t>(runs_[0].label)], "stand");
  const std::vector<double>& values = runs_[0].sensors[0].values;
  EXPECT_NEAR(values[200 * kAxes + 1], 1.2 * 9.80665, 1e-6) << "g to m/s^2";
  EXPECT_NEAR(values[200 * kAxes + 3], 3.2, 1e-6);
  EXPECT_NEAR(values[200 * kAxes + 6], 6.2 * 9.80665, 1e-6);

  write("train/y_train.txt", "5\n5\n");
  EXPECT_NE(read(Form::kUciHar).error().what.find("different numbers of lines"), std::string::npos);
  write("train/y_train.txt", "5\nx\n5\n5\n");
  EXPECT_FALSE(read(Form::kUciHar).ok());
}

// ---- the general form ----

const std::string kHeader = "timestamp,sensor,ax,ay,az,gx,gy,gz,mx,my,mz,label,subject\n";

std::string csv_row(double time, const std::string& sensor, double value, const std::string& label,
                    const std::string& subject) {
  std::string row = fmt::format("{:.6f},{}", time, sensor);
  for (int k = 0; k < 9; ++k) row += fmt::format(",{}", value + k);
  return row + "," + label + "," + subject + "\n";
}

std::string interleaved() {
  std::string text = kHeader;
  for (int i = 0; i < 20; ++i) {
    const std::string label = i < 10 ? "walk" : "sit";
    text += csv_row(i * 0.02, "hip", i, label, "anna");
    text += csv_row(i * 0.02 + 0.005, "wrist", 100 + i, label, "anna");
  }
  for (int i = 0; i < 5; ++i) {
    text += csv_row(i * 0.02, "hip", i, "walk", "ben");
    text += csv_row(i * 0.02, "wrist", 100 + i, "walk", "ben");
  }
  return text;
}

const std::string kToml = "sensors = [\"hip\", \"wrist\"]\n";

TEST_F(Folder, CsvPairsSensorsByTime) {
  write("rec.csv", interleaved());
  EXPECT_EQ(detect_form(root_ + "/rec.csv").value(), Form::kCsv);
  const Result<void> done = read(Form::kCsv, kToml, {}, "/rec.csv");
  ASSERT_TRUE(done.ok()) << done.error().message();
  ASSERT_EQ(runs_.size(), 3u);
  EXPECT_EQ(runs_[0].sensors[0].rows(), 10u);
  EXPECT_EQ(recipe_.classes[static_cast<size_t>(runs_[1].label)], "sit");
  EXPECT_EQ(tally_.subject_names.at(runs_[2].subject), "ben");
  EXPECT_EQ(runs_[2].sensors[1].rows(), 5u);
  EXPECT_EQ(runs_[2].sensors[1].values[0], 100.0);
  // The second run begins between two readings of the wrist, one of which the first has used.
  const std::vector<EvenRun> even = even_runs(runs_[1], recipe_, tally_).value();
  ASSERT_EQ(even.size(), 1u);
  EXPECT_EQ(even[0].samples, 10u);
  EXPECT_NEAR(even[0].channel(kAxes)[0], 109.75, 1e-9);
}

TEST_F(Folder, CsvDoesNotCareWhetherSensorsAreInterleaved) {
  // The same lines, the wrist's behind the hip's: the same runs.
  std::string hip, wrist, text = interleaved();
  for (size_t at = kHeader.size(); at < text.size();) {
    const size_t end = text.find('\n', at) + 1;
    const std::string row = text.substr(at, end - at);
    (row.find("hip") != std::string::npos ? hip : wrist) += row;
    at = end;
  }
  write("rec.csv", text);
  ASSERT_TRUE(read(Form::kCsv, kToml, {}, "/rec.csv").ok());
  const std::vector<RawRun> first = std::move(runs_);
  write("rec.csv", kHeader + hip + wrist);
  ASSERT_TRUE(read(Form::kCsv, kToml, {}, "/rec.csv").ok());
  ASSERT_EQ(runs_.size(), first.size());
  Tally tally;
  recipe_.gap_s = 0.05;
  for (size_t i = 0; i < first.size(); ++i) {
    const std::vector<EvenRun> a = even_runs(first[i], recipe_, tally).value();
    const std::vector<EvenRun> b = even_runs(runs_[i], recipe_, tally).value();
    ASSERT_EQ(a.size(), b.size());
    for (size_t k = 0; k < a.size(); ++k) EXPECT_EQ(a[k].values, b[k].values);
  }
}

TEST_F(Folder, CsvCountsClocksThatMisbehave) {
  std::string text = kHeader;
  for (const double time : {1.0, 1.02, 1.02, 1.04, 1.01, 1.06, 0.0, 0.02}) {
    text += csv_row(time, "hip", 1, "walk", "1");
  }
  text += "1.08,hip,1,2\n";
  for (int i = 0; i < 200; ++i) text += csv_row(2 + i * 0.02, "hip", 1, "walk", "1");
  write("rec.csv", text);
  const Result<void> done = read(Form::kCsv, "sensors = [\"hip\"]\n", {}, "/rec.csv");
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(tally_[Reason::kDuplicateTime], 1);
  EXPECT_EQ(tally_[Reason::kBackwardTime], 1);
  EXPECT_EQ(tally_[Reason::kClockRestart], 1);
  EXPECT_EQ(tally_[Reason::kRaggedRow], 1);
  ASSERT_EQ(runs_.size(), 2u);
  EXPECT_EQ(runs_[0].sensors[0].rows(), 4u);
}

TEST_F(Folder, CsvErrorsSayWhatToDo) {
  const auto error = [&](const std::string& text, const std::string& toml = kToml) {
    write("rec.csv", text);
    const Result<void> done = read(Form::kCsv, toml, {}, "/rec.csv");
    return done.ok() ? "" : done.error().message();
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(error(""), "is empty"));
  EXPECT_TRUE(has(error("timestamp,sensor,ax\n"), "the header lacks label, subject, ay"));
  EXPECT_TRUE(has(error(interleaved(), "sensors = [\"hip\", \"foot\"]\n"), "has no sensor 'foot'"));
  EXPECT_TRUE(has(error(interleaved(), "sensors = [\"hip\", \"foot\"]\n"), "wrist (25 rows)"));
  EXPECT_TRUE(has(error(kHeader + csv_row(0, "hip", 1, "dance", "1")), "label 'dance'"));
  EXPECT_TRUE(
      has(error(kHeader + csv_row(0, "hip", 1, "walk", "1") + csv_row(1, "hip", 1, "walk", "ben")),
          "of the other kind"));
  EXPECT_TRUE(has(error(kHeader + csv_row(0, "hip", 1, "walk", "")), "no subject"));
  EXPECT_TRUE(has(error(kHeader + "x\ny\nz\n", "sensors = [\"hip\"]\n"), "no sensor 'hip'"));
}

TEST_F(Folder, CsvAPersonWithoutTheSecondSensorIsNotMixedUp) {
  std::string text = kHeader;
  for (int i = 0; i < 10; ++i) text += csv_row(i * 0.02, "hip", 1, "walk", "1");
  for (int i = 0; i < 10; ++i) {
    text += csv_row(i * 0.02, "hip", 2, "walk", "2") + csv_row(i * 0.02, "wrist", 3, "walk", "2");
  }
  write("rec.csv", text);
  ASSERT_TRUE(read(Form::kCsv, kToml, {}, "/rec.csv").ok());
  ASSERT_EQ(runs_.size(), 2u);
  EXPECT_EQ(runs_[0].sensors[1].rows(), 0u);
  EXPECT_EQ(runs_[1].sensors[1].rows(), 10u);
}

// ---- wrong folders ----

TEST_F(Folder, AWrongFolderIsExplained) {
  EXPECT_NE(detect_form(root_).error().what.find("holds no set that is known"), std::string::npos);
  EXPECT_EQ(detect_form(root_ + "/none").error().code, ErrorCode::kIo);
  write("data/a01/p1/s01.txt", dsads_segment(9.0));
  EXPECT_NE(detect_form(root_).error().what.find("use " + root_ + "/data"), std::string::npos);
  // Compact arrays are given by file, and the message names one.
  write("pair.npy", "");
  write("pair_scale.npy", "");
  write("lone.npy", "");
  EXPECT_NE(detect_form(root_).error().what.find("give the file itself: " + root_ + "/pair.npy"),
            std::string::npos);
  const Result<void> lone = read(Form::kDsadsCompact, "", {}, "/lone.npy");
  EXPECT_NE(lone.error().message().find("/lone_scale.npy"), std::string::npos);
  for (const Form form : {Form::kDsads, Form::kMhealth, Form::kPamap2, Form::kUciHar}) {
    EXPECT_FALSE(read(form).ok()) << name_of(form);
  }
}

}  // namespace
}  // namespace graupel::prepare
