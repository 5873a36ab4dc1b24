// manifest.json: what is written reads back; every other text is refused with its reason.
#include "bundle/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace graupel::bundle {
namespace {

using ::testing::HasSubstr;

const std::string kDigest(64, 'a');

Manifest sample_manifest() {
  Manifest manifest;
  manifest.stage = Stage::kCompiled;
  manifest.model_name = "fsq \"imu\" \xc3\xa4";
  manifest.provenance = {{"tool", "graupel 0.1.0"}, {"zeta", 1.5}, {"alpha", {1, 2, 3}}};
  manifest.members = {{"cpu.plan", {kDigest, 7}}, {"reports/a.json", {std::string(64, '0'), 0}}};
  return manifest;
}

std::string text_with(const std::string& from, const std::string& to) {
  std::string text = format_manifest(sample_manifest()).value();
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return at == text.npos ? text : text.replace(at, from.size(), to);
}

TEST(Stage, NamesParseBack) {
  for (const Stage stage :
       {Stage::kParsed, Stage::kOptimized, Stage::kCompiled, Stage::kCalibrated}) {
    EXPECT_EQ(parse_stage(to_string(stage)), stage);
  }
  EXPECT_EQ(to_string(Stage::kCalibrated), "calibrated");
  EXPECT_FALSE(parse_stage("Parsed"));
  EXPECT_FALSE(parse_stage("unknown"));
  EXPECT_FALSE(parse_stage(""));
}

TEST(Manifest, ReadsBackWhatItWrites) {
  const std::string text = format_manifest(sample_manifest()).value();
  EXPECT_EQ(parse_manifest(text).value(), sample_manifest());
  // The order of the provenance is the writer's, not the alphabet's.
  EXPECT_LT(text.find("zeta"), text.find("alpha"));
}

TEST(Manifest, IsTextForPeople) {
  Manifest manifest;
  manifest.model_name = "tiny";
  EXPECT_EQ(format_manifest(manifest).value(),
            "{\n \"format_version\": 1,\n \"stage\": \"parsed\",\n \"model_name\": \"tiny\",\n"
            " \"provenance\": {},\n \"members\": {}\n}\n");
}

struct Damage {
  std::string from, to, reason;
};

TEST(Manifest, RefusesEveryWrongTypeAndKey) {
  const std::vector<Damage> damages = {
      {"\"format_version\": 1", "\"format_version\": 0", "is 0, expected 1"},
      {"\"format_version\": 1", "\"format_version\": -1", "positive integer"},
      {"\"format_version\": 1", "\"format_version\": 1.0", "positive integer"},
      {"\"format_version\": 1", "\"format_version\": \"1\"", "positive integer"},
      {"\"format_version\": 1,", "", "'format_version' has to be"},
      {"\"stage\": \"compiled\"", "\"stage\": \"melted\"", "stage 'melted', expected parsed"},
      {"\"stage\": \"compiled\"", "\"stage\": 2", "'stage' has to be text"},
      {"\"stage\": \"compiled\",", "", "lacks the key 'stage'"},
      {"\"stage\"", "\"colour\": 1, \"stage\"", "the key 'colour', which format 1"},
      {"\"stage\"", "\"stage\": \"parsed\", \"stage\"", "the key 'stage' appears twice"},
      {"\"cpu.plan\"", "\"reports/a.json\"", "'reports/a.json' appears twice"},
      {"\"alpha\"", "\"zeta\"", "'zeta' appears twice"},
      {"\"model_name\": \"fsq", "\"model_name\": [], \"x\": \"", ""},
      {"\"provenance\": {", "\"provenance\": [], \"x\": {", "the key 'x'"},
      {"\"size_bytes\": 7", "\"size_bytes\": -7", "'size_bytes' has to be"},
      {"\"size_bytes\": 7", "\"size_bytes\": 7.5", "'size_bytes' has to be"},
      {"\"size_bytes\": 7", "\"size_bytes\": 2147483649", "'size_bytes' has to be"},
      {"\"size_bytes\": 7", "\"size_bytes\": 1e999", ""},
      {"\"size_bytes\": 7", "\"size\": 7", "member 'cpu.plan' lacks the key 'size_bytes'"},
      {"\"size_bytes\": 7", "\"size_bytes\": 7, \"crc\": 1", "the key 'crc'"},
      {kDigest, std::string(63, 'a'), "64 lower-case"},
      {kDigest, std::string(64, 'A'), "64 lower-case"},
      {"\"" + kDigest + "\"", "null", "64 lower-case"},
      {"\n}\n", "\n", "not valid JSON"},
      {"\n}\n", "\n}}\n", "not valid JSON"},
      {"\xc3\xa4", "\xc3", "not valid JSON"}};
  for (const Damage& damage : damages) {
    const Result<Manifest> result = parse_manifest(text_with(damage.from, damage.to));
    ASSERT_FALSE(result.ok()) << damage.from << " -> " << damage.to;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(result.error().message(), HasSubstr(damage.reason));
    EXPECT_EQ(result.error().where, "manifest.json");
  }
}

TEST(Manifest, RefusesOtherJsonValues) {
  for (const char* text : {"", " ", "null", "[]", "7", "\"x\"", "{", "nul", "{}{}", "\xff\xfe"}) {
    const Result<Manifest> result = parse_manifest(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Manifest, NamesANewerWriter) {
  for (const char* version : {"2", "18446744073709551615"}) {
    // A newer format may have other keys: the version is judged first.
    const Result<Manifest> result = parse_manifest(text_with(
        "\"format_version\": 1", "\"new\": 1, \"format_version\": " + std::string(version)));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(result.error().message(),
                HasSubstr("written by a newer graupel (bundle format " + std::string(version) +
                          "); this one reads format 1"));
  }
}

TEST(Manifest, BoundsNestingBeforeBuildingIt) {
  const auto nested = [](size_t levels) {
    return text_with("{\n  \"tool\"", "{\"deep\": " + std::string(levels, '[') +
                                          std::string(levels, ']') + ", \"tool\"");
  };
  EXPECT_TRUE(parse_manifest(nested(30)).ok());
  EXPECT_THAT(parse_manifest(nested(31)).error().message(), HasSubstr("deeper than 32 levels"));
  EXPECT_THAT(parse_manifest(nested(400000)).error().message(), HasSubstr("deeper than 32"));
  EXPECT_FALSE(parse_manifest(std::string(1000000, '[')).ok());
}

TEST(Manifest, WritesOnlyWhatCanBeReadBack) {
  Manifest manifest = sample_manifest();
  manifest.provenance = nlohmann::ordered_json::array();
  EXPECT_EQ(format_manifest(manifest).error().code, ErrorCode::kInvalidInput);
  manifest = sample_manifest();
  manifest.model_name = "\xff";
  EXPECT_THAT(format_manifest(manifest).error().message(), HasSubstr("not UTF-8"));
  manifest = sample_manifest();
  manifest.provenance["loss"] = std::nan("");
  EXPECT_THAT(format_manifest(manifest).error().message(), HasSubstr("NaN"));
  manifest = sample_manifest();
  for (int i = 0; i < 40; ++i) manifest.provenance = {{"inner", manifest.provenance}};
  EXPECT_THAT(format_manifest(manifest).error().message(), HasSubstr("deeper than 32"));
  manifest = sample_manifest();
  manifest.provenance["log"] = std::string(kMaxManifestBytes, 'x');
  EXPECT_THAT(format_manifest(manifest).error().message(), HasSubstr("shorten the provenance"));
  manifest = sample_manifest();
  manifest.stage = static_cast<Stage>(17);
  EXPECT_EQ(format_manifest(manifest).error().code, ErrorCode::kInternal);
}

}  // namespace
}  // namespace graupel::bundle
