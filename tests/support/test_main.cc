// main() of every GoogleTest binary: a folder for temporary files that no other process has.
//
// Idea: ctest runs the tests of one suite as processes side by side, and each sets its fixture up.
// testing::TempDir() asks TEST_TMPDIR, so every process gets a folder of its own there, removed at
// its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  std::string folder = testing::TempDir() + "graupel_test_XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    std::perror(folder.c_str());
    return 2;
  }
  setenv("TEST_TMPDIR", folder.c_str(), 1);
  const int code = RUN_ALL_TESTS();
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  return code;
}
