// Headers of every version, lengths that lie, files that are no HEF, and the real file if present.
#include "hailo/hef_header.h"

#include <gmock/gmock.h>

#include "base/files.h"

namespace graupel::hailo {
namespace {

using testing::HasSubstr;

std::string number(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = bytes; i-- > 0;) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string hef(uint32_t version, int arch) {
  std::string proto = {'\x0a', 10, '\x08', static_cast<char>(arch), '\x1a', 6};
  proto += "3.32.0";
  const std::string words(64, 'w'), extra(10, 'x');
  std::string head = "\x01HEF" + number(version, 4) + number(proto.size(), 4);
  switch (version) {
    case 0: return head + std::string(20, '\0') + proto;
    case 1: return head + number(0, 4) + number(words.size(), 8) + number(0, 4) + proto + words;
    case 2: return head + number(0, 8) + number(words.size(), 8) + number(0, 16) + proto + words;
    default:
      return head + number(0, 8) + number(words.size(), 8) + number(4, 4) +
             number(extra.size(), 8) + number(0, 16) + proto + words + extra;
  }
}

TEST(HefHeader, EveryVersion) {
  for (uint32_t version = 0; version < 4; ++version) {
    const Result<HefHeader> header = read_hef_header(hef(version, 3));
    ASSERT_TRUE(header.ok()) << version << header.error().message();
    EXPECT_EQ(header->version, version);
    EXPECT_EQ(header->device, "hailo8l");
    EXPECT_EQ(header->compiler_version, "3.32.0");
  }
  EXPECT_EQ(read_hef_header(hef(2, 1))->device, "hailo8");
}

TEST(HefHeader, EveryTruncationIsRefused) {
  for (uint32_t version = 0; version < 4; ++version) {
    const std::string bytes = hef(version, 1);
    for (size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(read_hef_header(bytes.substr(0, length)).ok()) << version << " " << length;
    }
    EXPECT_FALSE(read_hef_header(bytes + "x").ok());
  }
}

TEST(HefHeader, WhatIsNoHef) {
  EXPECT_THAT(read_hef_header("DUMMY_HEF_CONTENT for tests").error().what,
              HasSubstr("placeholder"));
  EXPECT_THAT(read_hef_header(std::string(100, '\xFF')).error().what, HasSubstr("no HEF"));
  std::string newer = hef(2, 1);
  newer[7] = 9;
  EXPECT_EQ(read_hef_header(newer).error().code, ErrorCode::kUnsupported);
}

TEST(HefHeader, TheRealFile) {
  const Result<std::string> bytes = read_file(
      std::string(GRAUPEL_SOURCE_DIR) + "/../shared/data/hef/fsq_m13_behavioral_analysis.hef");
  if (!bytes.ok()) GTEST_SKIP() << "not on this machine: " << bytes.error().message();
  const Result<HefHeader> header = read_hef_header(*bytes);
  ASSERT_TRUE(header.ok()) << header.error().message();
  EXPECT_EQ(header->version, 2u);
  EXPECT_EQ(header->device, "hailo8");
  EXPECT_EQ(header->compiler_version, "3.32.0");
}

}  // namespace
}  // namespace graupel::hailo
