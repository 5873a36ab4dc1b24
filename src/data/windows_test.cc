// Loading windows and labels: shapes, types, keys, hints, and errors that name the file.
#include "data/windows.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <numeric>

#include "base/files.h"
#include "data/npy.h"

namespace graupel::data {
namespace {

const Shape kWindow = {3, 2, 4};

Tensor counting(Shape shape) {
  Tensor tensor(DType::kFloat32, std::move(shape));
  std::iota(tensor.mutable_data<float>().begin(), tensor.mutable_data<float>().end(), 0.0f);
  return tensor;
}

std::string refusal(const Tensor& array) {
  const Result<WindowSet> set = parse_windows(format_npy(array), kWindow, "w.npy");
  EXPECT_FALSE(set.ok());
  return set.ok() ? "" : set.error().message();
}

std::string temporary(const std::string& name, std::string_view bytes) {
  std::string path = testing::TempDir() + "graupel_windows_" + name;
  EXPECT_TRUE(write_file_atomic(path, bytes).ok());
  return path;
}

TEST(Windows, TakeManyOrOneWithoutTheLeadingCount) {
  const Tensor many = counting({5, 3, 2, 4});
  const WindowSet set = parse_windows(format_npy(many), kWindow, "w.npy").value();
  EXPECT_TRUE(set.windows == many);
  EXPECT_EQ(set.count(), 5);
  const WindowSet one = parse_windows(format_npy(counting({3, 2, 4})), kWindow, "w").value();
  EXPECT_EQ(one.windows.shape(), (Shape{1, 3, 2, 4}));
}

TEST(Windows, ConvertDoublesHalvesAndIntegers) {
  const Tensor doubles = Tensor::of<double>({1, 2}, {0.1, 1e300});
  const WindowSet set = parse_windows(format_npy(doubles), {2}, "w").value();
  EXPECT_EQ(set.windows.data<float>()[0], 0.1f);
  const Tensor shorts = Tensor::of<int16_t>({2, 1}, {-5, 32767});
  EXPECT_EQ(parse_windows(format_npy(shorts), {1}, "w")->windows.data<float>()[1], 32767.0f);
  const Tensor wide = Tensor::of<uint64_t>({1, 1}, {uint64_t{1} << 63});
  EXPECT_EQ(parse_windows(format_npy(wide), {1}, "w")->windows.data<float>()[0], 0x1p63f);
  Tensor half(DType::kFloat16, {1, 1});
  half.mutable_bytes()[1] = std::byte{0x3C};  // 1.0
  EXPECT_EQ(parse_windows(format_npy(half), {1}, "w")->windows.data<float>()[0], 1.0f);
  EXPECT_FALSE(parse_windows(format_npy(Tensor(DType::kBool, {1, 1})), {1}, "w").ok());
}

TEST(Windows, ChannelsLastIsNamedAndTheTransposeGiven) {
  EXPECT_EQ(refusal(counting({5, 2, 4, 3})),
            "w.npy: has the shape 5x2x4x3, expected Nx3x2x4 (windows, channels, ...); this is "
            "channels last: save numpy.ascontiguousarray(x.transpose(0, 3, 1, 2))");
  EXPECT_NE(refusal(counting({2, 4, 3})).find("transpose(2, 0, 1)"), std::string::npos);
}

TEST(Windows, OtherShapesAreRefusedWithTheOneExpected) {
  EXPECT_EQ(refusal(counting({5, 3, 8})),
            "w.npy: has the shape 5x3x8, expected Nx3x2x4 (windows, channels, ...); reshape or cut "
            "the windows to (N, 3, 2, 4)");
  EXPECT_EQ(refusal(counting({0, 3, 2, 4})), "w.npy: holds no window");
  refusal(counting({}));
  refusal(counting({1, 1, 3, 2, 4}));
  // Equal sizes tell nothing about the order of the axes: taken as they are.
  EXPECT_TRUE(parse_windows(format_npy(counting({2, 3, 3, 3})), {3, 3, 3}, "w").ok());
}

TEST(Windows, NpzByKeyWithItsLabelsAndSubjects) {
  const std::string path = GRAUPEL_SOURCE_DIR "/tests/data/npy/windows.npz";
  const Result<WindowSet> set = load_windows(path, kWindow);
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_TRUE(set->windows == counting({2, 3, 2, 4}));
  EXPECT_EQ(set->labels->to_int64s(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(set->subjects->to_int64s(), (std::vector<int64_t>{7, 9}));
  EXPECT_EQ(load_labels(path, 2, 2)->to_int64s(), (std::vector<int64_t>{1, 0}));
  // One array is taken whatever its name; several without a known name are listed.
  const std::string fixtures = GRAUPEL_SOURCE_DIR "/tests/data/npy/";
  EXPECT_EQ(load_windows(fixtures + "stored.npz", {5})->count(), 1);
  EXPECT_NE(load_labels(fixtures + "statistics.npz", 4, 2)
                .error()
                .message()
                .find("holds the arrays x, mean, std, z; expected one named labels or y"),
            std::string::npos);
}

TEST(Windows, TheContentDecidesNotTheName) {
  const std::string csv = temporary("csv.npy", "label,v\n1,0.5\n0,1.5\n");
  const WindowSet set = load_windows(csv, {1}).value();
  EXPECT_EQ(set.count(), 2);
  EXPECT_EQ(set.labels->to_int64s(), (std::vector<int64_t>{1, 0}));
  const std::string npy = temporary("npy.csv", format_npy(counting({2, 1})));
  EXPECT_EQ(load_windows(npy, {1})->count(), 2);
  const std::string junk = temporary("junk.npz", std::string("\0\xFF\x01junk", 7));
  const Result<WindowSet> refused = load_windows(junk, {1});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message().find(junk), 0u);
  for (const std::string& path : {csv, npy, junk}) std::filesystem::remove(path);
  EXPECT_EQ(load_windows(npy, {1}).error().code, ErrorCode::kIo);
}

TEST(Windows, OneWindowIsACopyWithBatchOne) {
  const WindowSet set = parse_windows(format_npy(counting({5, 3, 2, 4})), kWindow, "w").value();
  const Tensor third = window(set, 2).value();
  EXPECT_EQ(third.shape(), (Shape{1, 3, 2, 4}));
  EXPECT_EQ(third.data<float>()[0], 48.0f);
  EXPECT_EQ(third.data<float>()[23], 71.0f);
  EXPECT_FALSE(window(set, 5).ok());
  EXPECT_FALSE(window(set, -1).ok());
  EXPECT_FALSE(window(WindowSet{}, 0).ok());
}

TEST(Labels, AreWholeNumbersInRangeOneForEachWindow) {
  const auto check = [](const Tensor& labels) { return check_labels(labels, 3, 10, "l.npy"); };
  const std::vector<int64_t> expected = {0, 9, 4};
  EXPECT_EQ(check(Tensor::of<int64_t>({3}, {0, 9, 4}))->to_int64s(), expected);
  EXPECT_EQ(check(Tensor::of<uint8_t>({3, 1}, {0, 9, 4}))->to_int64s(), expected);
  EXPECT_EQ(check(Tensor::of<float>({3}, {0, 9, 4}))->to_int64s(), expected);
  EXPECT_EQ(check(Tensor::of<int64_t>({3}, {0, 10, 4})).error().message(),
            "l.npy: has the label 10 at window 1, expected 0 to 9");
  EXPECT_FALSE(check(Tensor::of<int64_t>({3}, {0, -1, 4})).ok());
  EXPECT_EQ(check(Tensor::of<int64_t>({2}, {0, 1})).error().message(),
            "l.npy: holds 2 values for 3 windows, expected one for each");
  EXPECT_FALSE(check(Tensor::of<float>({3}, {0, 0.5f, 1})).ok());
  EXPECT_FALSE(check(Tensor::of<float>({3}, {0, std::numeric_limits<float>::quiet_NaN(), 1})).ok());
  EXPECT_FALSE(check(Tensor::of<double>({3}, {0, 1e300, 1})).ok());
  EXPECT_FALSE(check(Tensor::of<int64_t>({1, 3}, {0, 1, 2})).ok());
}

TEST(Labels, ReadFromNpyAndText) {
  const std::string npy = temporary("l.npy", format_npy(Tensor::of<int32_t>({2}, {1, 0})));
  EXPECT_EQ(load_labels(npy, 2, 2)->to_int64s(), (std::vector<int64_t>{1, 0}));
  const std::string text = temporary("l.csv", "label\n1\n0\n");
  const Result<Tensor> labels = load_labels(text, 2, 2);
  ASSERT_TRUE(labels.ok()) << labels.error().message();
  EXPECT_EQ(labels->to_int64s(), (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(load_labels(text, 2, 1).error().message().find(text), 0u);
  for (const std::string& path : {npy, text}) std::filesystem::remove(path);
}

}  // namespace
}  // namespace graupel::data
