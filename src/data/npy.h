// NumPy's .npy and .npz files, in and out.
// Test: npy_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::data {

struct NamedTensor {
  std::string name;  // the array's key, without ".npy"
  Tensor tensor;
};

inline constexpr uint64_t kNpyLimitBytes = uint64_t{2} << 30;
inline constexpr uint64_t kNpzUnpackedLimitBytes = uint64_t{2} << 30;

// One array: format versions 1 to 3; bool, (u)int8..64 and float16..64; little or big endian; C or
// Fortran order. The result is little-endian in C order. Memory: at most twice the input.
// Errors: kCorrupt (truncated, more bytes than the shape holds, header that is not the dictionary
// numpy writes), kUnsupported (complex, string, object or record arrays, newer format versions).
Result<Tensor> parse_npy(std::string_view bytes);
// The same for a file of up to kNpyLimitBytes; errors name the file.
Result<Tensor> read_npy(const std::string& path);

// Format version 1.0, little-endian, C order, as numpy.save writes it. bfloat16, which numpy
// does not know, is written as float32.
std::string format_npy(const Tensor& tensor);
// What stands in front of the values, for a file that is written piece by piece.
std::string npy_header(DType dtype, const Shape& shape);
Result<void> write_npy(const std::string& path, const Tensor& tensor);  // atomic

// The arrays of an .npz (stored or deflated) in the order of the file. All arrays together may
// unpack to kNpzUnpackedLimitBytes, and to no more than deflate can honestly pack into the file.
// Errors: kCorrupt (not a zip, damaged member, size that does not match the directory, checksum),
// kInvalidInput (no array, too many members, too large), kUnsupported (encrypted, other packing).
Result<std::vector<NamedTensor>> parse_npz(std::string_view bytes);
Result<std::vector<NamedTensor>> read_npz(const std::string& path);

// What a file is by its first bytes, whatever its name.
bool looks_like_npy(std::string_view bytes);
bool looks_like_zip(std::string_view bytes);

}  // namespace graupel::data
