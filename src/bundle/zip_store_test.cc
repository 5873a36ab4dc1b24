// The stored zip: outside readers agree with it, and nothing but its own form is accepted.
#include "bundle/zip_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "bundle/bundle.h"

namespace graupel::bundle {
namespace {

using ::testing::HasSubstr;

ByteSource source_of(const std::string& bytes) {
  return {bytes.size(), [&bytes](uint64_t offset, std::span<char> out) -> Result<void> {
            if (offset + out.size() > bytes.size()) return internal_error("test", "read past end");
            bytes.copy(out.data(), out.size(), offset);
            return ok();
          }};
}

std::string sample_zip() {
  return write_zip({{"manifest.json", "{}"}, {"cpu.plan", "plan"}, {"reports/a.json", "[1]"}})
      .value();
}

// The one-line error of reading `bytes`, or "accepted".
std::string refusal(const std::string& bytes) {
  const Result<std::vector<ZipEntry>> entries = read_directory(source_of(bytes));
  return entries.ok() ? "accepted" : entries.error().message();
}

// `bytes` with the 16-bit field at `field` of the n-th record with this magic set.
std::string with_u16(std::string bytes, std::string_view magic, size_t nth, size_t field,
                     uint16_t value) {
  size_t at = bytes.find(magic);
  for (size_t i = 0; i < nth; ++i) at = bytes.find(magic, at + 1);
  std::memcpy(bytes.data() + at + field, &value, sizeof value);
  return bytes;
}

std::string replace_all(std::string bytes, const std::string& from, const std::string& to) {
  for (size_t at = bytes.find(from); at != bytes.npos; at = bytes.find(from, at + to.size())) {
    bytes.replace(at, from.size(), to);
  }
  return bytes;
}

constexpr std::string_view kLocal = "PK\x03\x04";
constexpr std::string_view kCentral = "PK\x01\x02";
constexpr std::string_view kEnd = "PK\x05\x06";

TEST(Crc32, MatchesThePublishedCheckValue) {
  EXPECT_EQ(crc32_of("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32_of(""), 0u);
}

TEST(MemberName, AcceptsRelativePathsAndRefusesTheRest) {
  for (const char* name :
       {"a", "device.onnx", "reports/validate.json", "a-b_c.D9", "..a", "a/b/c"}) {
    EXPECT_TRUE(check_member_name(name).ok()) << name;
  }
  const std::pair<std::string, const char*> refused[] = {
      {"", "is empty"},
      {"/etc/passwd", "absolute path"},
      {"a\\b", "backslash"},
      {"C:a", "character other than"},
      {"a b", "character other than"},
      {std::string("a\0b", 3), "character other than"},
      {"\xc3\xa4", "character other than"},
      {"..", "'.' or '..' part"},
      {"../a", "'.' or '..' part"},
      {"a/../b", "'.' or '..' part"},
      {"a/..", "'.' or '..' part"},
      {"./a", "'.' or '..' part"},
      {"a//b", "has an empty"},
      {"a/", "has an empty"},
      {std::string(201, 'a'), "longer than 200"}};
  for (const auto& [name, reason] : refused) {
    const Result<void> result = check_member_name(name);
    ASSERT_FALSE(result.ok()) << name;
    EXPECT_THAT(result.error().message(), HasSubstr(reason)) << name;
    EXPECT_EQ(result.error().message().find('\0'), std::string::npos);
  }
  EXPECT_TRUE(check_member_name(std::string(200, 'a')).ok());
}

TEST(ZipStore, DirectoryPointsAtTheBytesWritten) {
  const std::string bytes = sample_zip();
  const std::vector<ZipEntry> entries = read_directory(source_of(bytes)).value();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "manifest.json");
  EXPECT_EQ(entries[2].name, "reports/a.json");
  EXPECT_EQ(bytes.substr(entries[1].data_offset(), entries[1].size_bytes), "plan");
  EXPECT_EQ(bytes.substr(entries[2].data_offset(), entries[2].size_bytes), "[1]");
}

// Runs a shell command; its standard output, or "failed" and the output.
std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "failed to start";
  std::string output;
  char chunk[4096];
  for (size_t got; (got = std::fread(chunk, 1, sizeof chunk, pipe)) > 0;) output.append(chunk, got);
  return ::pclose(pipe) == 0 ? output : "failed: " + output;
}

class OutsideReader : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "graupel_zip_" + std::to_string(::getpid());
    std::filesystem::create_directories(folder_);
    ASSERT_TRUE(write_file_atomic(path(), sample_zip()).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/a.zip"; }
  std::string folder_;
};

TEST_F(OutsideReader, UnzipTestsAndExtracts) {
  if (!std::filesystem::exists("/usr/bin/unzip")) GTEST_SKIP() << "/usr/bin/unzip is not installed";
  EXPECT_THAT(output_of("/usr/bin/unzip -t " + path()), HasSubstr("No errors detected"));
  EXPECT_EQ(output_of("/usr/bin/unzip -p " + path() + " reports/a.json"), "[1]");
  EXPECT_THAT(output_of("/usr/bin/unzip -Z " + path()), HasSubstr("-rw-r--r--"));
}

TEST_F(OutsideReader, PythonReadsNamesDatesAndBytes) {
  if (output_of("python3 -c 'print(1)'") != "1\n") GTEST_SKIP() << "python3 is not installed";
  const std::string program =
      "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; "
      "print([(i.filename, i.date_time, i.compress_type, z.read(i)) for i in z.infolist()])";
  EXPECT_EQ(output_of("python3 -c '" + program + "' " + path()),
            "[('manifest.json', (1980, 1, 1, 0, 0, 0), 0, b'{}'), "
            "('cpu.plan', (1980, 1, 1, 0, 0, 0), 0, b'plan'), "
            "('reports/a.json', (1980, 1, 1, 0, 0, 0), 0, b'[1]')]\n");
}

TEST(ZipStore, RefusesWhatIsNoZip) {
  EXPECT_THAT(refusal(""), HasSubstr("not a graupel bundle"));
  EXPECT_THAT(refusal("P"), HasSubstr("truncated"));
  EXPECT_THAT(refusal(std::string("\x93NUMPY\x01\0", 8)), HasSubstr("not a graupel bundle"));
  EXPECT_THAT(refusal("MZ" + sample_zip()), HasSubstr("not a graupel bundle"));
  EXPECT_THAT(refusal(sample_zip() + "x"), HasSubstr("truncated or something was appended"));
  // An archive comment is the usual place to hide a second archive.
  EXPECT_THAT(refusal(with_u16(sample_zip(), kEnd, 0, 20, 1) + "x"), HasSubstr("appended"));
}

TEST(ZipStore, RefusesHostileEntries) {
  const std::string good = sample_zip();
  ASSERT_EQ(refusal(good), "accepted");
  EXPECT_THAT(refusal(replace_all(good, "reports/a", "../orts/a")), HasSubstr("'..' part"));
  EXPECT_THAT(refusal(replace_all(good, "cpu.plan", "/pu.plan")), HasSubstr("absolute"));
  EXPECT_THAT(refusal(replace_all(good, "reports/a", "reports\\a")), HasSubstr("backslash"));
  const std::string deflated = with_u16(with_u16(good, kCentral, 1, 10, 8), kLocal, 1, 8, 8);
  EXPECT_THAT(refusal(deflated), HasSubstr("cpu.plan: is compressed (method 8"));
  EXPECT_THAT(refusal(with_u16(good, kCentral, 1, 8, 1)), HasSubstr("is encrypted"));
  EXPECT_THAT(refusal(with_u16(good, kCentral, 1, 8, 8)), HasSubstr("packed by another tool"));
  EXPECT_THAT(refusal(with_u16(good, kLocal, 1, 18, 5)), HasSubstr("does not agree"));
  EXPECT_THAT(refusal(with_u16(with_u16(good, kCentral, 2, 20, 999), kCentral, 2, 24, 999)),
              HasSubstr("reports/a.json: declares 999 bytes"));
  EXPECT_THAT(refusal(with_u16(good, kCentral, 1, 42, 0)), HasSubstr("not one that graupel"));
  EXPECT_THAT(refusal(with_u16(good, kCentral, 0, 28, 60000)), HasSubstr("no complete"));
}

TEST(ZipStore, RefusesEntriesOutOfOrderOrTwice) {
  const auto order = [](const std::vector<NamedBytes>& entries) {
    return refusal(write_zip(entries).value());
  };
  EXPECT_THAT(order({{"a", ""}, {"manifest.json", ""}}), HasSubstr("expected manifest.json"));
  EXPECT_THAT(order({{"manifest.json", ""}, {"b", ""}, {"a", ""}}), HasSubstr("ascending"));
  EXPECT_THAT(order({{"manifest.json", ""}, {"a", ""}, {"a", ""}}), HasSubstr("a: appears twice"));
  EXPECT_THAT(order({{"manifest.json", ""}, {"manifest.json", ""}}), HasSubstr("appears twice"));
}

TEST(ZipStore, RefusesLayoutsThatHideBytes) {
  const std::string good = sample_zip();
  const size_t directory_at = good.find(kCentral);
  // Three bytes between the last member and the directory, which says so.
  std::string gap = good;
  gap.insert(directory_at, "gap");
  EXPECT_THAT(refusal(gap), HasSubstr("central directory does not reach"));
  const uint16_t moved = static_cast<uint16_t>(directory_at + 3);
  EXPECT_THAT(refusal(with_u16(gap, kEnd, 0, 16, moved)), HasSubstr("belong to no entry"));
  // One entry fewer declared than present.
  std::string fewer = with_u16(with_u16(good, kEnd, 0, 8, 2), kEnd, 0, 10, 2);
  EXPECT_THAT(refusal(fewer), HasSubstr("belong to no entry"));
  std::string more = with_u16(with_u16(good, kEnd, 0, 8, 4), kEnd, 0, 10, 4);
  EXPECT_THAT(refusal(more), HasSubstr("no complete directory entry"));
  EXPECT_THAT(refusal(with_u16(good, kEnd, 0, 4, 1)), HasSubstr("end record is not one"));
  EXPECT_THAT(refusal(with_u16(good, kEnd, 0, 10, 0)), HasSubstr("declares 0 entries"));
}

TEST(ZipStore, HoldsItsLimitsOnWritingAndReading) {
  std::vector<std::string> names;
  for (size_t i = 1000; i < 1000 + kMaxEntries; ++i) names.push_back("m" + std::to_string(i));
  std::vector<NamedBytes> entries = {{"manifest.json", "{}"}};
  for (size_t i = 0; i + 1 < kMaxEntries; ++i) entries.push_back({names[i], ""});
  const std::string full = write_zip(entries).value();
  EXPECT_EQ(refusal(full), "accepted");
  entries.push_back({names.back(), ""});
  EXPECT_THAT(write_zip(entries).error().message(), HasSubstr("not 1025"));
  EXPECT_THAT(refusal(with_u16(full, kEnd, 0, 10, 1025)), HasSubstr("declares 1025 entries"));
  EXPECT_FALSE(write_zip({}).ok());
  EXPECT_FALSE(write_zip({{"../manifest.json", ""}}).ok());
}

// A view longer than its buffer would be read if the size were not judged first.
TEST(ZipStore, JudgesSizesBeforeReadingOrAllocating) {
  const std::string_view too_long("x", (size_t{2} << 30) + 1);
  EXPECT_THAT(write_zip({{"manifest.json", too_long}}).error().message(), HasSubstr("larger than"));

  size_t largest_read = 0;
  ByteSource huge{(uint64_t{2} << 30) + 1, [&](uint64_t, std::span<char> out) -> Result<void> {
                    largest_read = std::max(largest_read, out.size());
                    return ok();
                  }};
  EXPECT_THAT(read_directory(huge).error().message(), HasSubstr("larger than the 2147483648"));
  EXPECT_EQ(largest_read, 0u);

  // A file of 2 GiB that declares one entry in a directory of 1 GiB.
  huge.size_bytes = uint64_t{2} << 30;
  const uint32_t directory_bytes = uint32_t{1} << 30;
  const uint32_t directory_offset = static_cast<uint32_t>(huge.size_bytes - 22 - directory_bytes);
  huge.read = [&](uint64_t offset, std::span<char> out) -> Result<void> {
    largest_read = std::max(largest_read, out.size());
    std::fill(out.begin(), out.end(), '\0');
    if (offset == 0) std::copy_n(kLocal.begin(), std::min(out.size(), kLocal.size()), out.begin());
    if (out.size() == 22) {
      std::copy(kEnd.begin(), kEnd.end(), out.begin());
      out[8] = out[10] = 1;
      std::memcpy(out.data() + 12, &directory_bytes, 4);
      std::memcpy(out.data() + 16, &directory_offset, 4);
    }
    return ok();
  };
  EXPECT_THAT(read_directory(huge).error().message(), HasSubstr("central directory"));
  EXPECT_LE(largest_read, 22u);
}

}  // namespace
}  // namespace graupel::bundle
