// The choice of an instruction set, by name and by the environment.
#include "kernels/dispatch.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace graupel::kernels {
namespace {

TEST(Dispatch, KnowsItsNamesAndRefusesOthers) {
  EXPECT_EQ(parse_isa("scalar").value(), Isa::kScalar);
  const Result<Isa> unknown = parse_isa("avx1024");
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidInput);
  EXPECT_NE(unknown.error().message().find("scalar"), std::string::npos);
}

TEST(Dispatch, TheEnvironmentForcesOne) {
  ASSERT_EQ(setenv("GRAUPEL_ISA", "scalar", 1), 0);
  EXPECT_EQ(choose_isa().value(), Isa::kScalar);
  ASSERT_EQ(setenv("GRAUPEL_ISA", "mmx", 1), 0);
  EXPECT_EQ(choose_isa().error().code, ErrorCode::kInvalidInput);
  ASSERT_EQ(unsetenv("GRAUPEL_ISA"), 0);
  EXPECT_EQ(choose_isa().value(), supported_isas().back());
}

}  // namespace
}  // namespace graupel::kernels
