// NumPy archives: a zip of .npy files.
//
// Idea: libzip reads the directory from memory; the announced sizes are judged before a byte is
// unpacked, and a member must then deliver exactly what was announced. Deflate packs at most
// 1032:1, so a directory that announces more lies.
// Reference: libzip manual; zlib technical notes (maximum expansion). Test: npy_test.cc.
#include <zip.h>

#include <memory>
#include <utility>

#include "base/files.h"
#include "data/npy.h"

namespace graupel::data {
namespace {

constexpr int64_t kMaximumMembers = 4096;
constexpr uint64_t kDeflateRatio = 1032;
constexpr uint64_t kSmallMemberBytes = 1024;  // below this a lie costs nothing

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseMember {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;
using Member = std::unique_ptr<zip_file_t, CloseMember>;

Result<Archive> open_archive(std::string_view bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* const archive =
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  const std::string why = archive == nullptr ? zip_error_strerror(&error) : "";
  zip_error_fini(&error);
  if (archive == nullptr) {
    if (source != nullptr) zip_source_free(source);
    return corrupt("npz", "is not a zip archive as numpy.savez writes it (" + why + ")");
  }
  return Archive(archive);
}

// Member names end up in messages: keep them short and printable.
std::string printable(std::string_view name) {
  std::string text(name.substr(0, 100));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

Result<zip_stat_t> stat_member(zip_t* archive, zip_uint64_t index, size_t file_bytes) {
  zip_stat_t info;
  zip_stat_init(&info);
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if (zip_stat_index(archive, index, 0, &info) != 0 || (info.valid & kNeeded) != kNeeded) {
    return corrupt("npz member " + std::to_string(index), "has a damaged directory entry");
  }
  const std::string where = "npz member '" + printable(info.name) + "'";
  if ((info.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && info.encryption_method != ZIP_EM_NONE) {
    return unsupported(where, "is encrypted; save it without a password");
  }
  if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE) {
    return unsupported(where, "is packed with method " + std::to_string(info.comp_method) +
                                  ", expected stored or deflated as numpy writes");
  }
  if (info.comp_size > file_bytes ||
      (info.size > kSmallMemberBytes && info.size / kDeflateRatio > info.comp_size)) {
    return corrupt(where, "announces " + std::to_string(info.size) + " bytes packed in " +
                              std::to_string(info.comp_size) + ", which cannot be");
  }
  return info;
}

Result<std::string> unpack(zip_t* archive, zip_uint64_t index, const zip_stat_t& info) {
  const std::string where = "npz member '" + printable(info.name) + "'";
  const Member file(zip_fopen_index(archive, index, 0));
  if (!file) return corrupt(where, std::string("cannot be opened: ") + zip_strerror(archive));
  std::string bytes(static_cast<size_t>(info.size), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const zip_int64_t got = zip_fread(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got <= 0) {
      return corrupt(where, "is damaged at byte " + std::to_string(filled) +
                                " (bad packing or a size that is too large)");
    }
    filled += static_cast<size_t>(got);
  }
  // Reading on to the end is what makes libzip compare the checksum.
  char extra = 0;
  if (zip_fread(file.get(), &extra, 1) != 0) {
    return corrupt(where, "fails its checksum or is longer than announced");
  }
  return bytes;
}

}  // namespace

bool looks_like_zip(std::string_view bytes) {
  const std::string_view magic = bytes.substr(0, 4);
  return magic == std::string_view("PK\x03\x04", 4) || magic == std::string_view("PK\x05\x06", 4);
}

Result<std::vector<NamedTensor>> parse_npz(std::string_view bytes) {
  TRY_ASSIGN(const Archive archive, open_archive(bytes));
  const zip_int64_t members = zip_get_num_entries(archive.get(), 0);
  if (members < 1 || members > kMaximumMembers) {
    return invalid_input("npz", "holds " + std::to_string(members) + " members, expected 1 to " +
                                    std::to_string(kMaximumMembers));
  }
  std::vector<NamedTensor> arrays;
  uint64_t total_bytes = 0;
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(members); ++i) {
    TRY_ASSIGN(const zip_stat_t info, stat_member(archive.get(), i, bytes.size()));
    std::string name = printable(info.name);
    constexpr std::string_view kSuffix = ".npy";
    if (!name.ends_with(kSuffix)) continue;  // numpy skips nothing, other writers add notes
    name.resize(name.size() - kSuffix.size());
    // Overlapping members let a small file announce much, each within deflate's ratio; the sum
    // is what has to be possible.
    total_bytes = info.size > kNpzUnpackedLimitBytes ? info.size : total_bytes + info.size;
    if (total_bytes > kNpzUnpackedLimitBytes ||
        (total_bytes > kSmallMemberBytes && total_bytes / kDeflateRatio > bytes.size())) {
      return invalid_input("npz", "unpacks to at least " + std::to_string(total_bytes) +
                                      " bytes, more than accepted; save fewer windows per file");
    }
    TRY_ASSIGN(const std::string member, unpack(archive.get(), i, info));
    Result<Tensor> tensor = parse_npy(member);
    if (!tensor.ok()) return std::move(tensor).error().within("npz member '" + name + "'");
    arrays.push_back({std::move(name), std::move(tensor).value()});
  }
  if (arrays.empty()) return invalid_input("npz", "holds no .npy array; write it with numpy.savez");
  return arrays;
}

Result<std::vector<NamedTensor>> read_npz(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kNpyLimitBytes));
  Result<std::vector<NamedTensor>> arrays = parse_npz(bytes);
  if (!arrays.ok()) return std::move(arrays).error().within(path);
  return arrays;
}

}  // namespace graupel::data
