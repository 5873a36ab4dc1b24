// Folders as `prepare` writes them: what is read, joined and refused.
#include "train/training_set.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "data/npy.h"

namespace graupel::train {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class Sets : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / fmt::format("graupel_sets_{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    text("class_names.txt", "rest\nwalk\n");
    text("normalization.json", R"({"mean":[0,0,0],"std":[1,1,1]})");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void text(const std::string& name, const std::string& content) {
    fs::create_directories((folder_ / name).parent_path());
    ASSERT_TRUE(write_file_atomic((folder_ / name).string(), content).ok());
  }
  // A window per person, all values the person's number; labels alternate.
  void split(const std::string& name, const std::vector<int64_t>& people, int64_t samples = 4) {
    fs::create_directories(folder_ / name);
    const auto count = static_cast<int64_t>(people.size());
    Tensor windows(DType::kFloat32, {count, 3, 2, samples});
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < count; ++i) {
      labels.push_back(i % 2);
      for (int64_t j = 0; j < 6 * samples; ++j) {
        windows.mutable_data<float>()[static_cast<size_t>(i * 6 * samples + j)] =
            static_cast<float>(people[static_cast<size_t>(i)]);
      }
    }
    const std::string path = (folder_ / name).string();
    ASSERT_TRUE(data::write_npy(path + "/windows.npy", windows).ok());
    ASSERT_TRUE(data::write_npy(path + "/labels.npy", Tensor::of<int64_t>({count}, labels)).ok());
    ASSERT_TRUE(data::write_npy(path + "/groups.npy", Tensor::of<int64_t>({count}, people)).ok());
  }
  Result<TrainingSet> load(std::vector<std::string> joined = {}, std::string fold = "") {
    return load_training_set({folder_.string(), std::move(joined), std::move(fold)});
  }
  std::string refusal(std::vector<std::string> joined = {}, std::string fold = "") {
    const Result<TrainingSet> set = load(std::move(joined), std::move(fold));
    return set.ok() ? "accepted" : set.error().message();
  }

  fs::path folder_;
};

TEST_F(Sets, SplitsStayApartUnlessJoined) {
  split("train", {1, 2});
  split("validation", {3});
  split("calibration", {4});
  split("test", {5});
  const Result<TrainingSet> set = load();
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_THAT(set->train.people, ElementsAre(1, 2));
  EXPECT_THAT(set->validation.people, ElementsAre(3));
  EXPECT_THAT(set->test.people, ElementsAre(5));
  EXPECT_EQ(set->shape, (WindowShape{3, 2, 4}));
  EXPECT_THAT(set->classes, ElementsAre("rest", "walk"));

  const Result<TrainingSet> more = load({"validation", "calibration"});
  ASSERT_TRUE(more.ok()) << more.error().message();
  EXPECT_THAT(more->train.people, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(more->validation.count(), 0);
  EXPECT_EQ(more->train.windows.data<float>().back(), 4.0f);
  EXPECT_THAT(more->train.labels, ElementsAre(0, 1, 0, 0));
}

TEST_F(Sets, AFoldIsChosenFromEverybody) {
  split("all", {1, 2, 3, 4});
  text("folds.json",
       R"([{"fold":4,"train":[1],"validation":[2],"calibration":[3],"test":[4]},{"fold":2}])");
  text("folds/4/normalization.json", R"({"mean":[0,0,0],"std":[2,2,2]})");
  const Result<TrainingSet> set = load({"calibration"}, "4");
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_THAT(set->train.people, ElementsAre(1, 3));
  EXPECT_THAT(set->test.people, ElementsAre(4));
  EXPECT_EQ(set->normalization.std[0], 2.0);
  EXPECT_THAT(refusal({}, "9"), HasSubstr("has no fold '9'; it has: 4, 2"));
  EXPECT_THAT(refusal({}, "2"), HasSubstr("a fold has no list 'train'"));
  EXPECT_THAT(refusal(), HasSubstr("choose the person who is tested: --fold PERSON"));
}

TEST_F(Sets, WhatIsWrongIsNamed) {
  EXPECT_THAT(refusal(), HasSubstr("holds no train/windows.npy"));
  split("train", {1, 2});
  EXPECT_THAT(refusal({"extra"}), HasSubstr("'extra' is no split"));
  EXPECT_THAT(refusal({"calibration"}), HasSubstr("calibration/windows.npy"));
  split("validation", {2});
  EXPECT_THAT(refusal(), HasSubstr("person 2 is trained on and in the validation split"));
  split("validation", {3}, 5);
  EXPECT_THAT(refusal(), HasSubstr("has windows 1x3x2x5, but those of train are 2x3x2x4"));
  split("validation", {3});
  text("class_names.txt", "rest\n");
  EXPECT_THAT(refusal(), HasSubstr("names 1 classes; expected two or more"));
  text("class_names.txt", "rest\nwalk\n");
  text("normalization.json", R"({"mean":[0],"std":[1]})");
  EXPECT_THAT(refusal(), HasSubstr("is for 1 channels, but the windows have 3"));
  text("normalization.json", "{}");
  EXPECT_THAT(refusal(), HasSubstr("normalization.json"));
}

TEST_F(Sets, ValuesThatAreNoNumbersAreRefused) {
  split("train", {1, 2});
  Tensor windows(DType::kFloat32, {2, 3, 2, 4});
  windows.mutable_data<float>()[30] = std::nanf("");
  ASSERT_TRUE(data::write_npy((folder_ / "train/windows.npy").string(), windows).ok());
  EXPECT_THAT(refusal(), HasSubstr("window 1 holds a value that is not finite"));
}

}  // namespace
}  // namespace graupel::train
