// The doctor's rows: complete, and true about what this machine certainly has.
#include "deploy/doctor.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace graupel::deploy {
namespace {

TEST(Doctor, SaysWhatIsThereAndWhatForItIsNeeded) {
  const std::vector<Diagnosis> rows = examine_machine();
  ASSERT_EQ(rows.size(), 9u);
  EXPECT_EQ(rows[0].what, "CPU engine");
  EXPECT_TRUE(rows[0].found && rows[0].required);
  EXPECT_NE(rows[0].detail.find("scalar"), std::string::npos) << rows[0].detail;
  for (const Diagnosis& row : rows) {
    EXPECT_FALSE(row.what.empty());
    EXPECT_FALSE(row.needed_for.empty());
    EXPECT_EQ(row.found, !row.detail.empty()) << row.what;
  }
}

TEST(Doctor, FindsProgramsOnThePath) {
  const std::string before = std::getenv("PATH");
  ASSERT_EQ(setenv("PATH", "/nonexistent::", 1), 0);
  const std::vector<Diagnosis> rows = examine_machine();
  ASSERT_EQ(setenv("PATH", before.c_str(), 1), 0);
  EXPECT_FALSE(rows[1].found);
  EXPECT_FALSE(rows[2].found);
}

TEST(Doctor, AnInstructionSetThatDoesNotExistIsMissing) {
  ASSERT_EQ(setenv("GRAUPEL_ISA", "bogus", 1), 0);
  const std::vector<Diagnosis> rows = examine_machine();
  ASSERT_EQ(unsetenv("GRAUPEL_ISA"), 0);
  EXPECT_FALSE(rows[0].found);
  EXPECT_NE(rows[0].detail.find("bogus"), std::string::npos);
}

}  // namespace
}  // namespace graupel::deploy
