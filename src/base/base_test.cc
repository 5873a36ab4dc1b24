// Result, byte reader, files, parallel loop, random numbers, windows of a set.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "base/bytes.h"
#include "base/files.h"
#include "base/parallel.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/window_at.h"

namespace graupel {
namespace {

Result<int> half_of(int value) {
  if (value % 2 != 0) return invalid_input("value", "is odd");
  return value / 2;
}

Result<int> quarter_of(int value) {
  TRY_ASSIGN(const int half, half_of(value));
  TRY_ASSIGN(const int quarter, half_of(half));
  return quarter;
}

TEST(Result, ErrorsTravelOutWithTheirPlace) {
  EXPECT_EQ(quarter_of(8).value(), 2);
  const Result<int> failed = quarter_of(6);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(Error(failed.error()).within("file.onnx").message(), "file.onnx: value: is odd");
}

TEST(ByteReader, NeverReadsPastTheEndAndStaysFailed) {
  ByteReader reader(std::string_view("\x01\x02\x03", 3));
  EXPECT_EQ(reader.read<uint16_t>(), 0x0201);
  EXPECT_EQ(reader.read<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.read<uint8_t>(), 0u);
}

TEST(ByteReader, ReadsWhatByteWriterWrote) {
  ByteWriter writer;
  writer.write(uint16_t{7});
  writer.text("snow");
  writer.align(8);
  const std::string bytes = writer.take();
  EXPECT_EQ(bytes.size() % 8, 0u);
  ByteReader reader(bytes);
  EXPECT_EQ(reader.read<uint16_t>(), 7);
  EXPECT_EQ(reader.text(), "snow");
  EXPECT_TRUE(reader.ok());
}

TEST(Files, WriteReplacesWholeAndReadChecksTheLimit) {
  const std::string folder = ::testing::TempDir() + "graupel_files";
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/a.bin";
  ASSERT_TRUE(write_file_atomic(path, "first").ok());
  ASSERT_TRUE(write_file_atomic(path, "second").ok());
  EXPECT_EQ(read_file(path).value(), "second");
  EXPECT_EQ(read_file(path, 3).error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(read_file(folder).error().code, ErrorCode::kIo);
  EXPECT_EQ(read_file(folder + "/none").error().code, ErrorCode::kIo);
  EXPECT_FALSE(write_file_atomic(folder + "/no/such/folder", "x").ok());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

TEST(ParallelFor, VisitsEveryIndexOnce) {
  for (const size_t threads : {0, 1, 2, 7}) {
    std::vector<int> visits(1000, 0);
    parallel_for(
        visits.size(), [&](size_t index, size_t) { ++visits[index]; }, threads);
    EXPECT_EQ(visits, std::vector<int>(1000, 1));
  }
}

TEST(Rng, MatchesTheReferenceSequence) {
  // splitmix64 with seed 1234567: the published check values.
  Rng rng(1234567);
  EXPECT_EQ(rng.next_u64(), 6457827717110365317u);
  EXPECT_EQ(rng.next_u64(), 3203168211198807973u);
  EXPECT_EQ(rng.next_u64(), 9817491932198370423u);
}

TEST(Rng, NormalHasUnitVariance) {
  Rng rng(1);
  double sum = 0, squares = 0;
  const int draws = 100000;
  for (int i = 0; i < draws; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / draws, 0.0, 0.02);
  EXPECT_NEAR(squares / draws, 1.0, 0.03);
}

TEST(Windows, AreTakenInTheOrderGiven) {
  const Tensor all = Tensor::of<int16_t>({3, 2}, {1, 2, 3, 4, 5, 6});
  const std::vector<size_t> indices = {2, 0, 2};
  EXPECT_EQ(windows_at(all, indices), Tensor::of<int16_t>({3, 2}, {5, 6, 1, 2, 5, 6}));
  EXPECT_EQ(windows_at(all, {}), Tensor(DType::kInt16, {0, 2}));
  EXPECT_EQ(window_at(all, 1), Tensor::of<int16_t>({1, 2}, {3, 4}));
}

}  // namespace
}  // namespace graupel
