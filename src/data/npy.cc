// NumPy array files.
//
// Idea: the header is a Python dictionary literal, but only the one form numpy writes is taken:
// three known keys, each once, with a string, a bool and a tuple of integers. The element count is
// checked against the bytes present before anything is allocated.
// Reference: NEP 1 and numpy/lib/format.py (magic, version, little-endian header length, header).
// Test: npy_test.cc.
#include "data/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "base/files.h"

namespace graupel::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaximumHeaderBytes = 1 << 16;
constexpr size_t kMaximumRank = 32;  // numpy's own limit
constexpr size_t kAlignmentBytes = 64;

struct Header {
  DType dtype = DType::kFloat32;
  bool is_big_endian = false;
  bool is_fortran_order = false;
  Shape shape;
};

Error bad_header(std::string what) {
  return corrupt("npy header", std::move(what) + "; write the file again with numpy.save");
}

std::optional<DType> dtype_of_code(std::string_view code) {
  struct Entry {
    std::string_view code;
    DType dtype;
  };
  static constexpr std::array<Entry, 12> kCodes = {{{"b1", DType::kBool},
                                                    {"i1", DType::kInt8},
                                                    {"i2", DType::kInt16},
                                                    {"i4", DType::kInt32},
                                                    {"i8", DType::kInt64},
                                                    {"u1", DType::kUInt8},
                                                    {"u2", DType::kUInt16},
                                                    {"u4", DType::kUInt32},
                                                    {"u8", DType::kUInt64},
                                                    {"f2", DType::kFloat16},
                                                    {"f4", DType::kFloat32},
                                                    {"f8", DType::kFloat64}}};
  for (const Entry& entry : kCodes) {
    if (entry.code == code) return entry.dtype;
  }
  return std::nullopt;
}

// Reads the dictionary literal from left to right.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Result<Header> parse() {
    if (!accept('{')) return bad_header("does not begin with '{'");
    bool seen_descr = false, seen_order = false, seen_shape = false;
    while (!accept('}')) {
      TRY_ASSIGN(const std::string_view key, quoted());
      if (!accept(':')) return bad_header("has no ':' after '" + std::string(key) + "'");
      bool* const seen = key == "descr"           ? &seen_descr
                         : key == "fortran_order" ? &seen_order
                         : key == "shape"         ? &seen_shape
                                                  : nullptr;
      if (seen == nullptr) return bad_header("has the unknown key '" + std::string(key) + "'");
      if (*seen) return bad_header("has the key '" + std::string(key) + "' twice");
      *seen = true;
      if (seen == &seen_descr) TRY(parse_descr());
      if (seen == &seen_order) TRY(parse_order());
      if (seen == &seen_shape) TRY(parse_shape());
      if (!accept(',') && !at('}')) return bad_header("has no ',' or '}' after a value");
    }
    skip_space();
    if (!text_.empty()) return bad_header("has text behind its dictionary");
    if (!seen_descr || !seen_order || !seen_shape) {
      return bad_header("lacks one of 'descr', 'fortran_order', 'shape'");
    }
    return std::move(header_);
  }

 private:
  void skip_space() {
    const size_t begin = text_.find_first_not_of(" \t\n");
    text_.remove_prefix(begin == std::string_view::npos ? text_.size() : begin);
  }
  bool at(char c) {
    skip_space();
    return !text_.empty() && text_.front() == c;
  }
  bool accept(char c) {
    if (!at(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  Result<std::string_view> quoted() {
    skip_space();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) {
      return bad_header("has no quoted string where one is due");
    }
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return bad_header("has a string that does not end");
    const std::string_view content = text_.substr(1, end - 1);
    for (const char c : content) {
      // Printable ASCII only: the content is quoted back in error messages.
      if (c < ' ' || c > '~' || c == '\\') return bad_header("has a string with odd characters");
    }
    text_.remove_prefix(end + 1);
    return content;
  }

  Result<void> parse_descr() {
    if (at('[')) {
      return unsupported("npy header", "describes a record array; save one plain array per file");
    }
    TRY_ASSIGN(const std::string_view descr, quoted());
    const Error error = unsupported(
        "npy header", "has the element type '" + std::string(descr.substr(0, 40)) +
                          "', expected bool, an integer or a float of up to 64 bits; convert with "
                          ".astype('float32')");
    if (descr.size() < 2) return error;
    const char order = descr.front();
    const bool has_order = std::string_view("<>|=").find(order) != std::string_view::npos;
    const std::optional<DType> dtype = dtype_of_code(has_order ? descr.substr(1) : descr);
    if (!dtype) return error;
    header_.dtype = *dtype;
    header_.is_big_endian = order == '>';
    return ok();
  }

  Result<void> parse_order() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(0, word.size()) != word) continue;
      text_.remove_prefix(word.size());
      header_.is_fortran_order = value;
      return ok();
    }
    return bad_header("has a 'fortran_order' that is neither True nor False");
  }

  Result<void> parse_shape() {
    if (!accept('(')) return bad_header("has a 'shape' that is not a tuple");
    while (!accept(')')) {
      skip_space();
      int64_t dim = -1;
      const auto [next, status] = std::from_chars(text_.data(), text_.data() + text_.size(), dim);
      if (status != std::errc() || dim < 0) {
        return bad_header("has a size in 'shape' that is not a whole number from 0");
      }
      text_.remove_prefix(static_cast<size_t>(next - text_.data()));
      if (!text_.empty() && text_.front() == 'L') text_.remove_prefix(1);  // Python 2 wrote 10L
      header_.shape.push_back(dim);
      if (header_.shape.size() > kMaximumRank) return bad_header("has more than 32 dimensions");
      if (!accept(',') && !at(')')) return bad_header("has a 'shape' without ',' or ')'");
    }
    return ok();
  }

  std::string_view text_;
  Header header_;
};

// The header, and where the data begin.
struct Opened {
  Header header;
  std::string_view data;
};

Result<Opened> open_npy(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.take(kMagic.size()) != kMagic) {
    return corrupt("npy", "does not begin with the npy magic; expected a file by numpy.save");
  }
  const auto major = reader.read<uint8_t>();
  const auto minor = reader.read<uint8_t>();
  if (reader.ok() && (major < 1 || major > 3 || minor != 0)) {
    return unsupported("npy", "is of format version " + std::to_string(major) + "." +
                                  std::to_string(minor) + ", expected 1.0, 2.0 or 3.0");
  }
  const size_t length = major == 1 ? reader.read<uint16_t>() : reader.read<uint32_t>();
  if (!reader.ok()) return corrupt("npy", "ends within its preamble; the file is truncated");
  if (length > kMaximumHeaderBytes) {
    return corrupt("npy", "has a header of " + std::to_string(length) + " bytes, expected up to " +
                              std::to_string(kMaximumHeaderBytes));
  }
  const std::string_view text = reader.take(length);
  if (!reader.ok()) return corrupt("npy", "ends within its header; the file is truncated");
  TRY_ASSIGN(Header header, HeaderParser(text).parse());
  return Opened{std::move(header), reader.take(reader.remaining())};
}

void swap_bytes(std::string& data, size_t element_bytes) {
  for (size_t i = 0; i + element_bytes <= data.size(); i += element_bytes) {
    std::reverse(data.begin() + static_cast<ptrdiff_t>(i),
                 data.begin() + static_cast<ptrdiff_t>(i + element_bytes));
  }
}

// First dimension fastest -> last dimension fastest. `out` is visited in order; `from` follows.
std::string to_row_major(const std::string& data, const Shape& shape, size_t element_bytes) {
  std::vector<size_t> strides(shape.size(), 1);  // of the input, in elements
  for (size_t d = 1; d < shape.size(); ++d) {
    strides[d] = strides[d - 1] * static_cast<size_t>(shape[d - 1]);
  }
  std::string out(data.size(), '\0');
  std::vector<int64_t> index(shape.size(), 0);
  size_t from = 0;
  for (size_t to = 0; to + element_bytes <= out.size(); to += element_bytes) {
    std::memcpy(out.data() + to, data.data() + from * element_bytes, element_bytes);
    for (size_t d = shape.size(); d-- > 0;) {
      from += strides[d];
      if (++index[d] < shape[d]) break;
      from -= strides[d] * static_cast<size_t>(shape[d]);
      index[d] = 0;
    }
  }
  return out;
}

std::string_view dtype_code(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kBFloat16: return "<f4";
    case DType::kFloat64: return "<f8";
    case DType::kFloat16: return "<f2";
    case DType::kInt8: return "|i1";
    case DType::kInt16: return "<i2";
    case DType::kInt32: return "<i4";
    case DType::kInt64: return "<i8";
    case DType::kUInt8: return "|u1";
    case DType::kUInt16: return "<u2";
    case DType::kUInt32: return "<u4";
    case DType::kUInt64: return "<u8";
    case DType::kBool: return "|b1";
  }
  return "<f4";
}

std::string shape_tuple(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

bool looks_like_npy(std::string_view bytes) { return bytes.substr(0, kMagic.size()) == kMagic; }

Result<Tensor> parse_npy(std::string_view bytes) {
  TRY_ASSIGN(const Opened opened, open_npy(bytes));
  const Header& header = opened.header;
  const size_t element_bytes = element_size_bytes(header.dtype);
  const std::optional<int64_t> count = element_count(header.shape);
  const size_t available = opened.data.size();
  if (!count || static_cast<uint64_t>(*count) > available / element_bytes ||
      static_cast<size_t>(*count) * element_bytes != available) {
    return corrupt("npy", "announces " + to_string(header.shape) + " elements of " +
                              std::to_string(element_bytes) + " bytes, but holds " +
                              std::to_string(available) +
                              " bytes of data; the file is truncated or damaged");
  }
  std::string data(opened.data);
  if (header.is_big_endian) swap_bytes(data, element_bytes);
  if (header.is_fortran_order && header.shape.size() > 1) {
    data = to_row_major(data, header.shape, element_bytes);
  }
  if (header.dtype == DType::kBool) {
    // A byte other than 0 and 1 would be no valid C++ bool.
    for (char& value : data) value = value != 0 ? 1 : 0;
  }
  return Tensor::adopt(header.dtype, header.shape, Buffer(std::move(data)));
}

Result<Tensor> read_npy(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kNpyLimitBytes));
  Result<Tensor> tensor = parse_npy(bytes);
  if (!tensor.ok()) return std::move(tensor).error().within(path);
  return tensor;
}

std::string npy_header(DType dtype, const Shape& shape) {
  std::string header = "{'descr': '" + std::string(dtype_code(dtype)) +
                       "', 'fortran_order': False, 'shape': " + shape_tuple(shape) + ", }";
  const size_t preamble = kMagic.size() + 4;
  const size_t unpadded = preamble + header.size() + 1;
  header.append((kAlignmentBytes - unpadded % kAlignmentBytes) % kAlignmentBytes, ' ');
  header += '\n';
  ByteWriter writer;
  writer.append(kMagic);
  writer.write(uint8_t{1});
  writer.write(uint8_t{0});
  writer.write(static_cast<uint16_t>(header.size()));
  writer.append(header);
  return writer.take();
}

std::string format_npy(const Tensor& tensor) {
  ByteWriter writer;
  writer.append(npy_header(tensor.dtype(), tensor.shape()));
  if (tensor.dtype() == DType::kBFloat16) {
    for (const double value : tensor.to_doubles()) writer.write(static_cast<float>(value));
  } else if (tensor.size_bytes() > 0) {
    writer.append({reinterpret_cast<const char*>(tensor.bytes()), tensor.size_bytes()});
  }
  return writer.take();
}

Result<void> write_npy(const std::string& path, const Tensor& tensor) {
  return write_file_atomic(path, format_npy(tensor));
}

}  // namespace graupel::data
