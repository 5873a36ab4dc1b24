// The readers on published recordings: DSADS as downloaded and as graupel's compact arrays.
// The data is not part of the repository; without it the tests say so and are skipped. Its folder:
// GRAUPEL_DSADS, else ../shared/data/imu/dsads beside the working copies.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "data/npy.h"
#include "prepare/prepare.h"
#include "prepare/readers.h"
#include "prepare/runs.h"
#include "prepare/units_check.h"

namespace graupel::prepare {
namespace {

namespace fs = std::filesystem;

std::string dsads_folder() {
  const char* const given = std::getenv("GRAUPEL_DSADS");
  if (given != nullptr) return given;
  for (const char* const near : {"/../shared/data/imu/dsads", "/../../shared/data/imu/dsads"}) {
    const std::string folder = std::string(GRAUPEL_SOURCE_DIR) + near;
    if (fs::exists(folder + "/README.md")) return folder;
  }
  return "";
}

class Dsads : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = dsads_folder();
    if (folder_.empty()) GTEST_SKIP() << "no DSADS recordings here (GRAUPEL_DSADS)";
  }
  struct Read {
    Recipe recipe;
    Tally tally;
    std::vector<RawRun> runs;
  };
  Result<Read> read(Form form, const std::string& name, const std::vector<std::string>& sensors,
                    LabelSet labels = LabelSet::kAll) const {
    Read result;
    RecipeOptions options;
    options.labels = labels;
    options.sensors = sensors;
    TRY_ASSIGN(result.recipe, make_recipe(form, options, "", ""));
    TRY(read_recordings(folder_ + name, result.recipe, result.tally, [&](RawRun&& run) {
      result.runs.push_back(std::move(run));
      return ok();
    }));
    return result;
  }
  std::string folder_;
};

// Rows of each (person, label).
std::map<std::pair<int64_t, int32_t>, size_t> rows_of(const std::vector<RawRun>& runs) {
  std::map<std::pair<int64_t, int32_t>, size_t> rows;
  for (const RawRun& run : runs) rows[{run.subject, run.label}] += run.sensors[0].rows();
  return rows;
}

TEST_F(Dsads, ThePublishedFormHasTheRowsItsAuthorsState) {
  const Result<Read> sample = read(Form::kDsads, "/raw_sample", {"torso", "right_leg"});
  ASSERT_TRUE(sample.ok()) << sample.error().message();
  EXPECT_EQ(sample->tally.files, 76);
  EXPECT_EQ(sample->tally.rows_read, 76 * 125);
  EXPECT_EQ(sample->tally[Reason::kRaggedRow], 0);
  EXPECT_EQ(sample->tally[Reason::kMissingFile], 9120 - 76);
  const auto rows = rows_of(sample->runs);
  EXPECT_EQ(rows.size(), 2u * 19u);
  for (const auto& [key, count] : rows) EXPECT_EQ(count, 250u);
}

TEST_F(Dsads, BothFormsHoldTheSameReadings) {
  const struct {
    const char* file;
    std::vector<std::string> sensors;
  } pairs[] = {{"/dsads_T_RL_i16.npy", {"torso", "right_leg"}},
               {"/dsads_RA_LL_i16.npy", {"right_arm", "left_leg"}}};
  for (const auto& pair : pairs) {
    const Result<Read> sample = read(Form::kDsads, "/raw_sample", pair.sensors);
    const Result<Read> compact = read(Form::kDsadsCompact, pair.file, {"first", "second"});
    ASSERT_TRUE(sample.ok() && compact.ok());
    // Half a step of the compact arrays, per triplet: acceleration, rotation, field.
    const double tolerance[] = {0.0019, 0.00045, 5.5e-5};
    // The k-th run of a person and activity; segments 1 and 2 are the first rows, or the first
    // runs on the stairs.
    std::map<std::pair<int64_t, int32_t>, std::vector<const RawRun*>> runs;
    for (const RawRun& run : compact->runs) runs[{run.subject, run.label}].push_back(&run);
    std::map<std::pair<int64_t, int32_t>, size_t> seen;
    size_t rows = 0;
    for (const RawRun& raw : sample->runs) {
      const std::pair<int64_t, int32_t> key = {raw.subject, raw.label};
      const RawRun& other = *runs[key].at(seen[key]++);
      for (size_t s = 0; s < 2; ++s) {
        const std::vector<double>& values = raw.sensors[s].values;
        ASSERT_LE(values.size(), other.sensors[s].values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          ASSERT_NEAR(values[i], other.sensors[s].values[i], tolerance[i % kAxes / 3]);
        }
      }
      rows += raw.sensors[0].rows();
    }
    EXPECT_EQ(rows, 76u * 125u);
  }
}

TEST_F(Dsads, NothingIsMissingAndTheUnitsFit) {
  const Result<Read> compact = read(Form::kDsadsCompact, "/dsads_T_RL_i16.npy", {});
  ASSERT_TRUE(compact.ok()) << compact.error().message();
  const auto rows = rows_of(compact->runs);
  EXPECT_EQ(rows.size(), 8u * 19u);
  for (const auto& [key, count] : rows) EXPECT_EQ(count, 7500u);
  // Nobody and no activity is suspected of another unit, and each is when it is in one.
  for (const auto& [acceleration, rotation] :
       {std::pair{1.0, 1.0}, {1.0 / 9.80665, 1.0}, {1.0, 57.2958}}) {
    UnitEvidence evidence;
    for (RawRun run : compact->runs) {
      for (Series& series : run.sensors) {
        for (size_t i = 0; i < series.values.size(); ++i) {
          if (i % kAxes < 3) series.values[i] *= acceleration;
          if (i % kAxes >= 3 && i % kAxes < 6) series.values[i] *= rotation;
        }
      }
      observe_units(run, evidence);
    }
    Tally tally;
    const Result<void> judged = check_units(evidence, compact->recipe, tally);
    EXPECT_EQ(judged.ok(), acceleration == 1.0 && rotation == 1.0)
        << (judged.ok() ? "" : judged.error().message());
  }
}

TEST_F(Dsads, TheWholeStage) {
  PrepareOptions options;
  options.input = folder_ + "/dsads_RA_LL_i16.npy";
  options.output = ::testing::TempDir() + "graupel_dsads";
  options.scale = ScaleBy::kSensor;
  options.centred = {6, 7, 8};
  const Result<Prepared> prepared = prepare(options);
  ASSERT_TRUE(prepared.ok()) << prepared.error().message();
  // 13 contiguous recordings of 7500 samples: 149 windows each; two of 60 segments: one window
  // each.
  EXPECT_EQ(prepared->windows, 8u * (13u * 149u + 2u * 60u));
  EXPECT_TRUE(prepared->leakage.clean());
  EXPECT_EQ(prepared->calibration_windows, 1000u);
  EXPECT_EQ(prepared->splits.size(), 4u);
  fs::remove_all(options.output);
}

}  // namespace
}  // namespace graupel::prepare
