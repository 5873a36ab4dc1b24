// Names and versions of models, and which files of a folder are taken for bundles.
#include "serve/models.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace graupel::serve {
namespace {

namespace fs = std::filesystem;

TEST(ModelSource, NameIsGivenOrTheFiles) {
  EXPECT_EQ(*parse_model_source("/srv/fsq.graupel"), (ModelSource{"fsq", "1", "/srv/fsq.graupel"}));
  EXPECT_EQ(*parse_model_source("imu=a/b.graupel"), (ModelSource{"imu", "1", "a/b.graupel"}));
  for (const char* bad : {"", "=x", "a b=x", "../x=y", "a=", "naïve=x"}) {
    EXPECT_FALSE(parse_model_source(bad).ok()) << bad;
  }
}

TEST(ModelDirectory, ListsBundlesAndVersionsInOrder) {
  const fs::path folder = fs::path(testing::TempDir()) / "models_test";
  fs::remove_all(folder);
  fs::create_directories(folder / "gait");
  fs::create_directories(folder / "bad name");
  for (const char* name : {"fsq.graupel", "readme.txt", "gait/10.graupel", "gait/9.graupel",
                           "gait/x y.graupel", "bad name/1.graupel"}) {
    std::ofstream(folder / name) << "x";
  }
  const auto listed = list_model_directory(folder.string());
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 3u);
  EXPECT_EQ((*listed)[0].name, "fsq");
  EXPECT_EQ((*listed)[1].version, "9");
  EXPECT_EQ((*listed)[2].version, "10");
  EXPECT_FALSE(list_model_directory((folder / "none").string()).ok());
}

TEST(Models, FindsTheNewestVersion) {
  EXPECT_TRUE(version_less("9", "10"));
  EXPECT_TRUE(version_less("beta", "1"));
  EXPECT_TRUE(version_less("a", "b"));
  EXPECT_FALSE(version_less("2", "2"));
  Models models;
  for (const char* version : {"9", "10", "beta"}) {
    auto model = std::make_shared<Model>();
    model->version = version;
    models.loaded["gait"][version] = model;
  }
  EXPECT_EQ(models.find("gait")->version, "10");
  EXPECT_EQ(models.find("gait", "beta")->version, "beta");
  EXPECT_EQ(models.find("gait", "11"), nullptr);
  EXPECT_EQ(models.find("other"), nullptr);
  EXPECT_EQ(models.count(), 3u);
}

}  // namespace
}  // namespace graupel::serve
