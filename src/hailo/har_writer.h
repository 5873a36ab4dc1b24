// Makes HARs for tests, by libarchive. For tests only; the vendor's compiler does not take them.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <string>
#include <utility>
#include <vector>

namespace graupel::hailo {

enum class Packing { kTar, kGzip };

inline std::string har_bytes(const std::vector<std::pair<std::string, std::string>>& members,
                             Packing packing) {
  size_t size = 65536;
  for (const auto& [name, bytes] : members) size += bytes.size() + 4096;
  std::string out(size, '\0');
  size_t used = 0;
  archive* const made = archive_write_new();
  if (packing == Packing::kGzip) archive_write_add_filter_gzip(made);
  archive_write_set_format_ustar(made);
  archive_write_open_memory(made, out.data(), out.size(), &used);
  for (const auto& [name, bytes] : members) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_size(entry, static_cast<int64_t>(bytes.size()));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_write_header(made, entry);
    archive_write_data(made, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_close(made);
  archive_write_free(made);
  out.resize(used);
  return out;
}

}  // namespace graupel::hailo
