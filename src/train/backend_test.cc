// What is said where libtorch is missing.
#include "train/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"

namespace graupel::train {
namespace {

using testing::HasSubstr;

TEST(Backend, ABuildWithoutLibtorchNamesThePackage) {
  const std::string folder = testing::TempDir() + "graupel_backend_" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  const Result<Backend> missing = load_backend(folder);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kDevice);
  EXPECT_THAT(missing.error().message(), HasSubstr("install the Debian package libtorch-dev"));

  ASSERT_TRUE(write_file_atomic(folder + "/" + kModuleName, "no library").ok());
  const Result<Backend> broken = load_backend(folder);
  std::filesystem::remove_all(folder);
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code, ErrorCode::kDevice);
  EXPECT_THAT(broken.error().message(), HasSubstr("does not load"));
}

}  // namespace
}  // namespace graupel::train
