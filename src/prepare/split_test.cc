// The store's moments against data/statistics.h, splits, leakage, balanced choices.
#include "prepare/split.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/rng.h"
#include "data/npy.h"

namespace graupel::prepare {
namespace {

namespace fs = std::filesystem;

struct Scratch {
  std::string path;
  explicit Scratch(const std::string& name) : path(::testing::TempDir() + "graupel_" + name) {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Scratch() { fs::remove_all(path); }
};

// `each` windows of 9 x 2 x 10 of subjects 1 to `subjects`, classes 0 to 3 unevenly.
WindowStore filled(const std::string& folder, int64_t subjects, int each) {
  WindowStore store = WindowStore::create(folder, 9, 2, 10).value();
  Rng rng(11);
  std::vector<float> window(store.window_size());
  for (int64_t subject = 1; subject <= subjects; ++subject) {
    for (int i = 0; i < each; ++i) {
      for (float& x : window) x = static_cast<float>(1000.0 + 3.0 * rng.normal());
      EXPECT_TRUE(store.add(window, subject, i % 8 < 5 ? 0 : i % 4).ok());
    }
  }
  return store;
}

std::vector<size_t> everything(const WindowStore& store) {
  std::vector<size_t> all(store.records().size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

TEST(WindowStore, MomentsAreThoseOfTheWindows) {
  const Scratch scratch("moments");
  const WindowStore store = filled(scratch.path, 3, 40);
  const std::vector<int64_t> two = {1, 3};
  const std::vector<size_t> indices = windows_of(store, {"two", two});
  ASSERT_EQ(indices.size(), 80u);
  ASSERT_TRUE(write_windows(scratch.path + "/w.npy", store, indices).ok());
  const Tensor windows = data::read_npy(scratch.path + "/w.npy").value();
  EXPECT_EQ(windows.shape(), (Shape{80, 9, 2, 10}));
  for (const std::vector<int64_t>& centred : {std::vector<int64_t>{}, {2, 7}}) {
    const Tensor reference = data::remove_window_mean(windows, centred).value();
    const auto expected = data::channel_statistics(reference).value();
    const auto found = channel_statistics(store, two, centred);
    for (size_t c = 0; c < 9; ++c) {
      EXPECT_NEAR(found[c].mean, expected[c].mean, 1e-9 * 1000) << c;
      EXPECT_NEAR(found[c].std, expected[c].std, 1e-9) << c;
      EXPECT_EQ(found[c].finite_count, expected[c].finite_count);
      if (centred.empty()) {
        EXPECT_EQ(found[c].minimum, expected[c].minimum);
        EXPECT_EQ(found[c].maximum, expected[c].maximum);
      }
    }
  }
}

TEST(WindowStore, LeavesNoFileBehind) {
  const Scratch scratch("nofile");
  const WindowStore store = filled(scratch.path, 1, 3);
  EXPECT_TRUE(fs::is_empty(scratch.path));
  EXPECT_FALSE(WindowStore::create(scratch.path + "/none", 9, 2, 10).ok());
}

TEST(Split, EveryPersonIsInExactlyOne) {
  for (int64_t people = 4; people <= 40; ++people) {
    std::vector<int64_t> subjects;
    for (int64_t i = 0; i < people; ++i) subjects.push_back(i * 3);
    for (uint64_t seed = 1; seed < 4; ++seed) {
      SplitOptions options;
      options.seed = seed;
      const std::vector<Split> splits = make_splits(subjects, options).value();
      std::multiset<int64_t> seen;
      for (const Split& split : splits) {
        EXPECT_FALSE(split.subjects.empty()) << split.name;
        seen.insert(split.subjects.begin(), split.subjects.end());
      }
      EXPECT_EQ(seen, std::multiset<int64_t>(subjects.begin(), subjects.end()));
      EXPECT_GE(splits[0].subjects.size(), splits[3].subjects.size());
    }
  }
}

TEST(Split, NamedPeopleGoWhereTheyAreNamed) {
  const std::vector<int64_t> subjects = {1, 2, 3, 4, 5, 6, 7, 8};
  SplitOptions options;
  options.test_subjects = {8, 7};
  options.validation_subjects = {1};
  const std::vector<Split> splits = make_splits(subjects, options).value();
  EXPECT_EQ(splits[3].subjects, (std::vector<int64_t>{7, 8}));
  EXPECT_EQ(splits[1].subjects, (std::vector<int64_t>{1}));
  EXPECT_EQ(splits[2].subjects.size(), 1u);
  options.validation_subjects = {8};
  EXPECT_NE(make_splits(subjects, options).error().what.find("named twice"), std::string::npos);
  options.validation_subjects = {9};
  EXPECT_NE(make_splits(subjects, options).error().what.find("has no windows"), std::string::npos);
  for (const std::vector<int64_t>& few : {std::vector<int64_t>{1}, {1, 2, 3}}) {
    EXPECT_NE(make_splits(few, {}).error().what.find("four different people"), std::string::npos);
  }
}

TEST(Split, LeavingOneOutGoesRoundTheList) {
  const std::vector<int64_t> subjects = {1, 2, 5, 9};
  SplitOptions options;
  options.kind = SplitKind::kLeaveOneOut;
  options.test_subjects = {5};
  const std::vector<Split> splits = make_splits(subjects, options).value();
  EXPECT_EQ(splits[3].subjects, (std::vector<int64_t>{5}));
  EXPECT_EQ(splits[1].subjects, (std::vector<int64_t>{9}));
  EXPECT_EQ(splits[2].subjects, (std::vector<int64_t>{1}));
  EXPECT_EQ(splits[0].subjects, (std::vector<int64_t>{2}));
  options.test_subjects = {4};
  EXPECT_FALSE(make_splits(subjects, options).ok());
}

// Writes groups.npy as the stage does.
void write_groups(const std::string& folder, const WindowStore& store,
                  const std::vector<Split>& splits) {
  for (const Split& split : splits) {
    fs::create_directories(folder + "/" + split.name);
    std::vector<int64_t> groups;
    for (const size_t i : windows_of(store, split)) groups.push_back(store.records()[i].subject);
    const Tensor tensor = Tensor::of<int64_t>({static_cast<int64_t>(groups.size())}, groups);
    ASSERT_TRUE(data::write_npy(folder + "/" + split.name + "/groups.npy", tensor).ok());
  }
}

TEST(Leakage, FindsSharedPeopleAndEqualWindows) {
  const Scratch scratch("leakage");
  WindowStore store = filled(scratch.path, 4, 5);
  std::vector<Split> splits = make_splits({1, 2, 3, 4}, {}).value();
  write_groups(scratch.path, store, splits);
  EXPECT_TRUE(check_leakage(scratch.path, splits, store).value().clean());

  // A window of somebody that training knows, published again under a person of the test split.
  std::vector<float> copy(store.window_size());
  ASSERT_TRUE(store.read(windows_of(store, splits[0])[0], copy).ok());
  ASSERT_TRUE(store.add(copy, splits[3].subjects[0], 0).ok());
  write_groups(scratch.path, store, splits);
  const Leakage doubled = check_leakage(scratch.path, splits, store).value();
  EXPECT_EQ(doubled.equal_windows, 1);
  EXPECT_EQ(doubled.shared_subjects, 0);
  EXPECT_FALSE(doubled.clean());

  // A split by window: the same person on both sides.
  std::vector<Split> by_window = splits;
  by_window[3].subjects = by_window[0].subjects;
  write_groups(scratch.path, store, by_window);
  EXPECT_EQ(check_leakage(scratch.path, by_window, store).value().shared_subjects, 1);
}

TEST(Balanced, TakesClassesAndPeopleInTurn) {
  const Scratch scratch("balanced");
  const WindowStore store = filled(scratch.path, 4, 64);
  const std::vector<size_t> all = everything(store);
  const std::vector<size_t> chosen = balanced(store, all, 32, 1);
  ASSERT_EQ(chosen.size(), 32u);
  std::map<int32_t, int> classes;
  std::map<int64_t, int> people;
  for (const size_t i : chosen) {
    ++classes[store.records()[i].label];
    ++people[store.records()[i].subject];
  }
  std::set<int32_t> present;
  for (const WindowRecord& record : store.records()) present.insert(record.label);
  EXPECT_EQ(classes.size(), present.size());
  for (const auto& [label, count] : classes) {
    EXPECT_NEAR(count, 32.0 / static_cast<double>(present.size()), 1.0);
  }
  for (const auto& [subject, count] : people) EXPECT_NEAR(count, 8, 2);
  EXPECT_EQ(std::set<size_t>(chosen.begin(), chosen.end()).size(), 32u) << "none twice";
  EXPECT_EQ(balanced(store, all, 32, 1), chosen);
  EXPECT_NE(balanced(store, all, 32, 2), chosen);
  EXPECT_EQ(balanced(store, all, 100000, 1).size(), all.size());
}

}  // namespace
}  // namespace graupel::prepare
