// The .npy fixtures in tests/data/npy were written by numpy 1.24; the hostile headers are made here
// from the documented layout.
#include "data/npy.h"

#include <gtest/gtest.h>
#include <zip.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/files.h"
#include "base/rng.h"

namespace graupel::data {
namespace {

const std::string kFixtures = GRAUPEL_SOURCE_DIR "/tests/data/npy/";

std::string fixture(const std::string& name) {
  Result<std::string> bytes = read_file(kFixtures + name);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message();
  return bytes.ok() ? *bytes : std::string();
}

// A version-1 file with this header text and data.
std::string npy_file(std::string_view header, std::string_view data) {
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xFF);
  bytes += static_cast<char>(header.size() >> 8);
  return bytes.append(header).append(data);
}

std::string refusal(std::string_view bytes) {
  const Result<Tensor> tensor = parse_npy(bytes);
  EXPECT_FALSE(tensor.ok());
  return tensor.ok() ? "" : tensor.error().message();
}

TEST(Npy, ReadsBigEndianFloats) {
  const Result<Tensor> tensor = read_npy(kFixtures + "big_endian_f4.npy");
  ASSERT_TRUE(tensor.ok()) << tensor.error().message();
  EXPECT_EQ(tensor->shape(), (Shape{2, 3, 4}));
  ASSERT_EQ(tensor->dtype(), DType::kFloat32);
  for (size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(tensor->data<float>()[i], static_cast<float>(i) * 0.5f - 3.0f);
  }
}

TEST(Npy, TurnsFortranOrderIntoRowMajor) {
  const Result<Tensor> tensor = read_npy(kFixtures + "fortran_i2.npy");
  ASSERT_TRUE(tensor.ok()) << tensor.error().message();
  ASSERT_NE(fixture("fortran_i2.npy").find("'fortran_order': True"), std::string::npos);
  ASSERT_EQ(tensor->dtype(), DType::kInt16);
  for (size_t i = 0; i < 24; ++i) EXPECT_EQ(tensor->data<int16_t>()[i], static_cast<int16_t>(i));
}

TEST(Npy, ReadsHalfFloatsBooleansScalarsAndVersionTwo) {
  const Result<Tensor> half = read_npy(kFixtures + "float16.npy");
  ASSERT_TRUE(half.ok());
  const std::vector<double> values = half->to_doubles();
  EXPECT_EQ(values[0], 0.5);
  EXPECT_EQ(values[2], 65504.0);
  EXPECT_TRUE(std::isinf(values[3]));
  EXPECT_EQ(values[4], 0x1p-24);  // 6e-8 rounds to the smallest half
  EXPECT_EQ(read_npy(kFixtures + "bool.npy")->to_int64s(), (std::vector<int64_t>{1, 0, 1}));
  const Result<Tensor> scalar = read_npy(kFixtures + "scalar.npy");
  ASSERT_TRUE(scalar.ok());
  EXPECT_EQ(scalar->rank(), 0u);
  EXPECT_EQ(scalar->to_doubles(), std::vector<double>{2.5});
  const Result<Tensor> version2 = read_npy(kFixtures + "version2.npy");
  ASSERT_TRUE(version2.ok());
  EXPECT_EQ(fixture("version2.npy")[6], 2);
  EXPECT_EQ(version2->dtype(), DType::kUInt64);
  EXPECT_EQ(version2->to_int64s(), (std::vector<int64_t>{1, 2, 3, 4}));
}

TEST(Npy, WritesTheBytesThatNumpyWrites) {
  for (const char* const name : {"float16.npy", "bool.npy", "scalar.npy"}) {
    const std::string bytes = fixture(name);
    const Result<Tensor> tensor = parse_npy(bytes);
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(format_npy(*tensor), bytes) << name;
  }
}

TEST(Npy, EveryDtypeComesBackAsWritten) {
  Rng rng(3);
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kInt8,
                            DType::kInt16, DType::kInt32, DType::kInt64, DType::kUInt8,
                            DType::kUInt16, DType::kUInt32, DType::kUInt64, DType::kBool}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0, 4}, Shape{2, 3, 5}}) {
      Tensor tensor(dtype, shape);
      for (size_t i = 0; i < tensor.size_bytes(); ++i) {
        tensor.mutable_bytes()[i] =
            static_cast<std::byte>(dtype == DType::kBool ? rng.below(2) : rng.below(256));
      }
      const std::string bytes = format_npy(tensor);
      const Result<Tensor> back = parse_npy(bytes);
      ASSERT_TRUE(back.ok()) << back.error().message();
      EXPECT_TRUE(*back == tensor) << to_string(dtype) << " " << to_string(shape);
      EXPECT_EQ((bytes.size() - tensor.size_bytes()) % 64, 0u);
    }
  }
}

TEST(Npy, WritesBFloat16AsFloat32) {
  Tensor tensor(DType::kBFloat16, {1});
  const uint16_t bits = float_to_bfloat16(1.5f);
  std::memcpy(tensor.mutable_bytes(), &bits, sizeof bits);
  const Result<Tensor> back = parse_npy(format_npy(tensor));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->data<float>()[0], 1.5f);
}

TEST(Npy, AnnouncedSizesAreCheckedBeforeMemoryIsTaken) {
  const std::string data(16, '\0');
  for (const char* const shape :
       {"(4611686018427387904,)", "(9223372036854775807, 9223372036854775807)", "(3,)", "(5,)",
        "(1000000000, 4)", "(4294967296, 4294967296)", "(0,)"}) {
    const std::string header =
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': ") + shape + ", }";
    EXPECT_NE(refusal(npy_file(header, data)).find("truncated or damaged"), std::string::npos)
        << shape;
  }
  EXPECT_TRUE(
      parse_npy(npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", data)).ok());
}

TEST(Npy, RefusesHeadersThatNumpyDoesNotWrite) {
  const std::string data(4, '\0');
  const struct {
    const char* header;
    const char* reason;
  } kCases[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "whole number"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,), }", "without ','"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "whole"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': [1], }", "not a tuple"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "no ',' or '}'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", "without ',' or ')'"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "neither True nor False"},
      {"{'descr': '<f4', 'shape': (1,), }", "lacks"},
      {"{'fortran_order': False, 'shape': (1,), }", "lacks"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "twice"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'extra': 1}", "unknown key"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } + __import__('os')", "behind"},
      {"{'descr': '<f4\\x00', 'fortran_order': False, 'shape': (1,), }", "odd characters"},
      {"{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }", "element type"},
      {"__import__('os').system('true')", "'{'"},
      {"", "'{'"},
      {"{", "no quoted string"},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "element type"},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "element type"},
      {"{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", "element type"},
      {"{'descr': '', 'fortran_order': False, 'shape': (1,), }", "element type"},
  };
  for (const auto& test : kCases) {
    const std::string message = refusal(npy_file(test.header, data));
    EXPECT_NE(message.find(test.reason), std::string::npos) << test.header << "\n-> " << message;
  }
  std::string many = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < 33; ++i) many += "1, ";
  EXPECT_NE(refusal(npy_file(many + "), }", data)).find("32 dimensions"), std::string::npos);
}

TEST(Npy, RefusesWhatNumpyWritesButNoModelTakes) {
  EXPECT_NE(refusal(fixture("record.npy")).find("record array"), std::string::npos);
  EXPECT_NE(refusal(fixture("object.npy")).find("'|O'"), std::string::npos);
  EXPECT_NE(refusal(fixture("complex.npy")).find("'<c8'"), std::string::npos);
}

TEST(Npy, EveryTruncationIsAnErrorAndNoBitFlipCrashes) {
  const std::string bytes = fixture("big_endian_f4.npy");
  for (size_t size = 0; size < bytes.size(); ++size) refusal(bytes.substr(0, size));
  refusal(bytes + "x");
  size_t taken = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    taken += parse_npy(damaged).ok() ? 1 : 0;
  }
  EXPECT_GE(taken, 24u * 32u);  // a flip in the data is just another number
}

TEST(Npy, FilesAreNamedInErrorsAndWrittenWhole) {
  const std::string path = testing::TempDir() + "graupel_npy_test.npy";
  ASSERT_TRUE(write_npy(path, Tensor::of<int64_t>({2}, {5, -6})).ok());
  EXPECT_EQ(read_npy(path)->to_int64s(), (std::vector<int64_t>{5, -6}));
  ASSERT_TRUE(write_file_atomic(path, "no npy").ok());
  EXPECT_EQ(read_npy(path).error().message().find(path), 0u);
  std::filesystem::remove(path);
  EXPECT_EQ(read_npy(path).error().code, ErrorCode::kIo);
}

TEST(Npz, ReadsWhatNumpySavedInItsOrder) {
  const Result<std::vector<NamedTensor>> arrays = read_npz(kFixtures + "windows.npz");
  ASSERT_TRUE(arrays.ok()) << arrays.error().message();
  ASSERT_EQ(arrays->size(), 3u);
  EXPECT_EQ((*arrays)[0].name, "windows");
  EXPECT_EQ((*arrays)[0].tensor.shape(), (Shape{2, 3, 2, 4}));
  EXPECT_EQ((*arrays)[0].tensor.data<double>()[47], 47.0);
  EXPECT_EQ((*arrays)[1].name, "labels");
  EXPECT_EQ((*arrays)[2].tensor.to_int64s(), (std::vector<int64_t>{7, 9}));
  const Result<std::vector<NamedTensor>> stored = read_npz(kFixtures + "stored.npz");
  ASSERT_TRUE(stored.ok()) << stored.error().message();
  EXPECT_EQ((*stored)[0].name, "arr_0");
  EXPECT_EQ((*stored)[0].tensor.to_int64s(), (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST(Npz, TruncationAndBitFlipsNeitherCrashNorChangeAnArray) {
  const std::string bytes = fixture("windows.npz");
  const std::vector<NamedTensor> good = parse_npz(bytes).value();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(parse_npz(bytes.substr(0, size)).ok()) << size;
  }
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    const Result<std::vector<NamedTensor>> arrays = parse_npz(damaged);
    if (!arrays.ok()) continue;
    for (const NamedTensor& array : *arrays) {
      // Names and dates carry no checksum; array bytes do.
      const bool is_known = array.tensor == good[0].tensor || array.tensor == good[1].tensor ||
                            array.tensor == good[2].tensor;
      EXPECT_TRUE(is_known) << "bit " << bit;
    }
  }
}

// Replaces the 32-bit uncompressed size of the first member, in both of its headers.
std::string with_announced_size(std::string bytes, uint32_t size) {
  const size_t local = bytes.find("PK\x03\x04");
  const size_t central = bytes.find("PK\x01\x02");
  std::memcpy(bytes.data() + local + 22, &size, sizeof size);
  std::memcpy(bytes.data() + central + 24, &size, sizeof size);
  return bytes;
}

// A deflated archive as any zip tool makes it, without zip64 extras.
std::string zip_of(const std::string& name, const std::string& content) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const target = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(target);
  zip_t* const archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
  zip_source_t* const member = zip_source_buffer(archive, content.data(), content.size(), 0);
  EXPECT_GE(zip_file_add(archive, name.c_str(), member, 0), 0);
  EXPECT_EQ(zip_close(archive), 0);
  EXPECT_EQ(zip_source_open(target), 0);
  zip_source_seek(target, 0, SEEK_END);
  std::string bytes(static_cast<size_t>(zip_source_tell(target)), '\0');
  zip_source_seek(target, 0, SEEK_SET);
  EXPECT_EQ(zip_source_read(target, bytes.data(), bytes.size()),
            static_cast<zip_int64_t>(bytes.size()));
  zip_source_close(target);
  zip_source_free(target);
  return bytes;
}

TEST(Npz, RefusesLyingSizes) {
  const std::string array = format_npy(Tensor(DType::kFloat32, {1000}));
  const std::string bytes = zip_of("x.npy", array);
  ASSERT_TRUE(parse_npz(bytes).ok()) << parse_npz(bytes).error().message();
  for (const uint32_t size :
       {0u, 1u, static_cast<uint32_t>(array.size() - 1), static_cast<uint32_t>(array.size() + 1),
        60000u, 0x7FFFFFFFu, 0xFFFFFFFEu}) {
    const Result<std::vector<NamedTensor>> lying = parse_npz(with_announced_size(bytes, size));
    EXPECT_FALSE(lying.ok()) << size;
  }
  const Result<std::vector<NamedTensor>> bomb = parse_npz(with_announced_size(bytes, 0x7FFFFFFF));
  EXPECT_NE(bomb.error().message().find("cannot be"), std::string::npos);
}

TEST(Npz, NamesTheMemberThatIsNoArray) {
  const Result<std::vector<NamedTensor>> arrays = parse_npz(zip_of("x.npy", "not an array"));
  ASSERT_FALSE(arrays.ok());
  EXPECT_EQ(arrays.error().where.find("npz member 'x'"), 0u);
  EXPECT_FALSE(parse_npz(zip_of("readme.txt", "text")).ok());
  EXPECT_FALSE(parse_npz("").ok());
}

}  // namespace
}  // namespace graupel::data
