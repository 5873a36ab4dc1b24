// Tensor bytes that lie in files beside the model, and read-only views of whole files.
// Test: hostile_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "onnx/proto.h"

namespace graupel::onnx {

// The bytes of a file while this object lives.
class MappedFile {
 public:
  explicit MappedFile(std::string fallback) : fallback_(std::move(fallback)) {}
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::string_view bytes() const {
    return data_ != nullptr ? std::string_view(data_, size_) : std::string_view(fallback_);
  }
  size_t size() const { return bytes().size(); }

 private:
  const char* data_ = nullptr;  // mapped, or null: then fallback_ holds the bytes
  size_t size_ = 0;
  std::string fallback_;
};

// Maps a regular file; reads anything else (a pipe) up to 2 GiB. Error kIo.
Result<MappedFile> map_file(const std::string& path);

// `expected_bytes` bytes of the tensor's external data. The location has to be a relative path
// that stays inside `folder` (after symbolic links are followed), offset and length have to lie
// inside the file and fit the tensor. Errors kInvalidInput, kCorrupt, kIo.
Result<std::string> read_external(const ::onnx::TensorProto& proto, const DataFolder& folder,
                                  uint64_t expected_bytes);

}  // namespace graupel::onnx
