// Bundles: round trip, the same bytes every time, and every kind of damage is found.
#include "bundle/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include "base/files.h"
#include "base/rng.h"
#include "bundle/manifest.h"
#include "bundle/zip_store.h"

namespace graupel::bundle {
namespace {

using ::testing::HasSubstr;

const std::string kCorpus = std::string(GRAUPEL_SOURCE_DIR) + "/fuzz/corpus/bundle";

Bundle sample_bundle() {
  Bundle bundle;
  bundle.manifest.stage = Stage::kOptimized;
  bundle.manifest.model_name = "tiny";
  bundle.manifest.provenance = {{"tool", "graupel 0.1.0"}, {"stages", {{{"verb", "parse"}}}}};
  bundle.members = {{"device.onnx", std::string("\x08\x08\0\xff", 4)},
                    {"host.onnx", ""},
                    {"reports/validate.json", "{}\n"}};
  return bundle;
}

// What reading sample_bundle() gives: the manifest lists the members.
Bundle expected_bundle() {
  Bundle bundle = sample_bundle();
  for (const auto& [name, bytes] : bundle.members) {
    bundle.manifest.members[name] = {sha256_hex(bytes), bytes.size()};
  }
  return bundle;
}

std::string refusal(std::string_view bytes) {
  const Result<Bundle> bundle = parse_bundle(bytes);
  return bundle.ok() ? "accepted" : bundle.error().message();
}

class InFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "graupel_bundle_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string folder_;
};

using BundleFile = InFolder;

TEST(Sha256, MatchesThePublishedVectors) {  // FIPS 180-4 examples, NIST CAVP, RFC 6234
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Bundle, ReadsBackWhatItWrites) {
  EXPECT_EQ(parse_bundle(format_bundle(sample_bundle()).value()).value(), expected_bundle());
  EXPECT_EQ(parse_bundle(format_bundle(Bundle{}).value()).value(), Bundle{});
  Rng rng(1);
  for (int round = 0; round < 30; ++round) {
    Bundle bundle;
    for (uint64_t i = rng.below(20); i > 0; --i) {
      std::string bytes(rng.below(3000), '\0');
      for (char& byte : bytes) byte = static_cast<char>(rng.below(256));
      bundle.members["m" + std::to_string(rng.below(50))] = bytes;
    }
    const Bundle back = parse_bundle(format_bundle(bundle).value()).value();
    EXPECT_EQ(back.members, bundle.members);
    EXPECT_EQ(format_bundle(back).value(), format_bundle(bundle).value());
  }
}

// Files of format 1 are the same on every machine and for ever. The file in the corpus comes from
// Python's zipfile, json and hashlib, so the bytes are also what an outside writer makes.
TEST(Bundle, SameContentSameBytes) {
  const std::string bytes = format_bundle(sample_bundle()).value();
  EXPECT_EQ(sha256_hex(bytes), "2da75e8f4ee17057004eacbeaa1b47884744326a9f5c689953ea33698008e301");
  EXPECT_EQ(bytes, read_file(kCorpus + "/valid_full.graupel").value());
  Bundle claims = sample_bundle();  // what the caller's manifest claims is not trusted
  claims.manifest.members["device.onnx"] = {"no digest", 99};
  claims.manifest.members["absent"] = {};
  claims.manifest.format_version = 77;
  EXPECT_EQ(format_bundle(claims).value(), bytes);
}

TEST(Bundle, EveryTruncationIsRefused) {
  const std::string bytes = format_bundle(sample_bundle()).value();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(refusal(std::string_view(bytes).substr(0, size)), "accepted") << size;
  }
}

TEST(Bundle, EveryFlippedBitIsRefused) {
  const std::string bytes = format_bundle(sample_bundle()).value();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(refusal(flipped), "accepted") << "byte " << bit / 8 << " bit " << bit % 8;
  }
}

TEST(Bundle, EveryRemovedOrInsertedByteIsRefused) {
  const std::string bytes = format_bundle(sample_bundle()).value();
  for (size_t at = 0; at <= bytes.size(); ++at) {
    std::string longer = bytes;
    longer.insert(at, 1, 'P');
    EXPECT_NE(refusal(longer), "accepted") << at;
    if (at == bytes.size()) break;
    std::string shorter = bytes;
    shorter.erase(at, 1);
    EXPECT_NE(refusal(shorter), "accepted") << at;
  }
}

// Files whose zip is flawless but whose manifest tells another story.
TEST(Bundle, ManifestAndMembersMustAgree) {
  const auto packed = [](const Manifest& manifest, const std::vector<NamedBytes>& members) {
    const std::string text = format_manifest(manifest).value();
    std::vector<NamedBytes> entries = {{kManifestName, text}};
    entries.insert(entries.end(), members.begin(), members.end());
    return refusal(write_zip(entries).value());
  };
  Manifest manifest;
  manifest.members["cpu.plan"] = {sha256_hex("plan"), 4};
  EXPECT_EQ(packed(manifest, {{"cpu.plan", "plan"}}), "accepted");
  EXPECT_THAT(packed(manifest, {}), HasSubstr("cpu.plan: is listed in the manifest, but the file"));
  EXPECT_THAT(packed(manifest, {{"cpu.plan", "plan"}, {"extra", ""}}),
              HasSubstr("extra: is in the file, but the manifest does not list it"));
  EXPECT_THAT(packed(manifest, {{"cpu.plan", "plans"}}),
              HasSubstr("cpu.plan: has 5 bytes, the manifest says 4"));
  EXPECT_THAT(packed(manifest, {{"cpu.plan", "plaN"}}), HasSubstr("cpu.plan: has the SHA-256"));
  EXPECT_THAT(refusal(write_zip({{"cpu.plan", "plan"}}).value()),
              HasSubstr("expected manifest.json"));
  EXPECT_THAT(refusal(write_zip({{kManifestName, "{}"}}).value()), HasSubstr("format_version"));
  const std::string spaces(kMaxManifestBytes + 1, ' ');
  EXPECT_THAT(refusal(write_zip({{kManifestName, spaces}}).value()), HasSubstr("at most 1048576"));
}

TEST(Bundle, ErrorCodesTellDamageFromForeignAndNewer) {
  const std::string bytes = format_bundle(sample_bundle()).value();
  EXPECT_EQ(parse_bundle("\x89PNG").error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(parse_bundle(bytes.substr(0, 100)).error().code, ErrorCode::kCorrupt);
  std::string text = format_manifest(Manifest{}).value();
  text.replace(text.find(": 1"), 3, ": 2");
  const Result<Bundle> newer = parse_bundle(write_zip({{kManifestName, text}}).value());
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code, ErrorCode::kUnsupported);
}

TEST(Bundle, WritingRefusesWhatReadingWould) {
  Bundle bundle = sample_bundle();
  bundle.members["../escape"] = "x";
  EXPECT_EQ(format_bundle(bundle).error().code, ErrorCode::kInvalidInput);
  bundle = sample_bundle();
  bundle.members["manifest.json"] = "{}";
  EXPECT_THAT(format_bundle(bundle).error().message(), HasSubstr("cannot be a member"));
  bundle = sample_bundle();
  for (size_t i = 0; i < kMaxEntries; ++i) bundle.members["m" + std::to_string(i)] = "";
  EXPECT_FALSE(format_bundle(bundle).ok());
}

TEST(Bundle, MissingMemberNamesTheCommandThatMakesIt) {
  const Bundle bundle = expected_bundle();
  EXPECT_EQ(member(bundle, "device.onnx").value(), std::string_view("\x08\x08\0\xff", 4));
  EXPECT_EQ(member(bundle, "host.onnx").value(), "");
  const Result<std::string_view> plan = member(bundle, "cpu.plan");
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(plan.error().message(),
            "cpu.plan: is not in this bundle (stage: optimized); 'graupel compile' makes it");
  EXPECT_EQ(member(bundle, "odd").error().message(),
            "odd: is not in this bundle (stage: optimized)");
}

TEST_F(BundleFile, WritesAndReadsFiles) {
  ASSERT_TRUE(write_bundle(path("a.graupel"), sample_bundle()).ok());
  EXPECT_EQ(read_bundle(path("a.graupel")).value(), expected_bundle());
  EXPECT_EQ(read_file(path("a.graupel")).value(), format_bundle(sample_bundle()).value());
}

TEST_F(BundleFile, LoadsOnlyTheMembersAskedFor) {
  ASSERT_TRUE(write_bundle(path("a.graupel"), sample_bundle()).ok());
  const std::array<std::string_view, 2> names = {"reports/validate.json", "cpu.plan"};
  const Bundle part = read_members(path("a.graupel"), names).value();
  EXPECT_EQ(part.manifest, expected_bundle().manifest);
  EXPECT_EQ(part.members, (std::map<std::string, std::string>{{"reports/validate.json", "{}\n"}}));
  EXPECT_EQ(member(part, "cpu.plan").error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(member(part, "device.onnx").error().code, ErrorCode::kInternal);
  EXPECT_TRUE(read_members(path("a.graupel"), {}).value().members.empty());
}

TEST_F(BundleFile, VerifiesTheMembersItLoads) {
  std::string bytes = format_bundle(sample_bundle()).value();
  bytes[bytes.find(std::string_view("\x08\x08\0\xff", 4))] = '\x09';
  ASSERT_TRUE(write_file_atomic(path("bad.graupel"), bytes).ok());
  const std::array<std::string_view, 1> damaged = {"device.onnx"}, sound = {"host.onnx"};
  const Result<Bundle> refused = read_members(path("bad.graupel"), damaged);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("bad.graupel: device.onnx: has the SHA-256"));
  EXPECT_TRUE(read_members(path("bad.graupel"), sound).ok());
  EXPECT_FALSE(read_bundle(path("bad.graupel")).ok());
}

TEST_F(BundleFile, FileErrorsNameTheFile) {
  EXPECT_EQ(read_bundle(path("none")).error().code, ErrorCode::kIo);
  EXPECT_THAT(read_bundle(path("none")).error().message(), HasSubstr(path("none")));
  EXPECT_EQ(read_bundle(folder_).error().code, ErrorCode::kIo);
  EXPECT_EQ(read_members(folder_, {}).error().code, ErrorCode::kIo);
  ASSERT_TRUE(write_file_atomic(path("empty"), "").ok());
  EXPECT_EQ(read_bundle(path("empty")).error().code, ErrorCode::kInvalidInput);
}

TEST_F(BundleFile, AFailedWriteLeavesTheOldBundleAndNothingElse) {
  ASSERT_TRUE(write_bundle(path("a.graupel"), sample_bundle()).ok());
  const std::string before = read_file(path("a.graupel")).value();
  Bundle bad = sample_bundle();
  bad.members["/absolute"] = "x";
  const Result<void> refused = write_bundle(path("a.graupel"), bad);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("a.graupel"));
  EXPECT_EQ(read_file(path("a.graupel")).value(), before);
  std::filesystem::create_directories(path("folder/inside"));
  EXPECT_EQ(write_bundle(path("folder"), sample_bundle()).error().code, ErrorCode::kIo);
  EXPECT_FALSE(write_bundle(path("no/such/a.graupel"), sample_bundle()).ok());
  EXPECT_EQ(files(), (std::vector<std::string>{"a.graupel", "folder"}));
}

// The fuzzing corpus as an ordinary test; Python's zipfile made the ones in foreign form.
TEST(BundleCorpus, IsReadAsItsNamesSay) {
  size_t accepted = 0, refused = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    const std::string name = entry.path().filename().string();
    const std::string bytes = read_file(entry.path().string()).value();
    const bool valid = name.rfind("valid_", 0) == 0;
    EXPECT_EQ(parse_bundle(bytes).ok(), valid) << name << ": " << refusal(bytes);
    ++(valid ? accepted : refused);
  }
  EXPECT_GE(accepted, 2u);
  EXPECT_GE(refused, 4u);
}

}  // namespace
}  // namespace graupel::bundle
