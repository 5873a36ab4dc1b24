// When a sequence begins, goes on and ends.
#include "serve/sequences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graupel::serve {
namespace {

OipRequest request_of(const std::string& id, bool start, bool end) {
  OipRequest request;
  request.sequence_id = id;
  request.sequence_start = start;
  request.sequence_end = end;
  return request;
}

TEST(Sequences, BeginGoOnAndEnd) {
  Sequences sequences(2, std::chrono::seconds(60));
  EXPECT_EQ(*sequences.find("", "net", OipRequest{}), nullptr);
  EXPECT_FALSE(sequences.find("", "net", request_of("1", false, false)).ok());
  const auto first = sequences.find("", "net", request_of("1", true, false));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*sequences.find("", "net", request_of("1", false, false)), *first);
  EXPECT_FALSE(sequences.find("other", "net", request_of("1", false, false)).ok());
  EXPECT_FALSE(sequences.find("", "other", request_of("1", false, false)).ok());
  // A new start begins anew; whoever computes for the old one keeps it.
  EXPECT_NE(*sequences.find("", "net", request_of("1", true, false)), *first);
  ASSERT_TRUE(sequences.find("", "net", request_of("2", true, false)).ok());
  const auto third = sequences.find("", "net", request_of("3", true, false));
  ASSERT_FALSE(third.ok());
  EXPECT_THAT(third.error().message(), testing::HasSubstr("2 sequences are open"));
  sequences.finish("", "net", request_of("1", false, true));
  EXPECT_TRUE(sequences.find("", "net", request_of("3", true, false)).ok());
}

TEST(Sequences, IdleOnesMakeRoom) {
  Sequences sequences(1, std::chrono::seconds(-1));
  ASSERT_TRUE(sequences.find("", "net", request_of("1", true, false)).ok());
  ASSERT_TRUE(sequences.find("", "net", request_of("2", true, false)).ok());
  EXPECT_EQ(sequences.count(), 1u);
}

}  // namespace
}  // namespace graupel::serve
