// The bundle: manifest and members over the stored zip.
//
// Idea: reading has three gates, each complete before the next: the layout (zip_store.cc), the
// manifest against the directory, and each loaded member against its SHA-256. Only headers and
// wanted members are read from disk, so the runtime starts without touching ONNX members.
// Reference: docs/formats/bundle.md; SHA-256 is FIPS 180-4. Test: bundle_test.cc.
#include "bundle/bundle.h"

#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/text.h"
#include "bundle/manifest.h"
#include "bundle/zip_store.h"

namespace graupel::bundle {
namespace {

struct Maker {
  std::string_view member;
  std::string_view command;
};
constexpr std::array<Maker, 11> kMakers = {{{"device.onnx", "graupel parse"},
                                            {"host.onnx", "graupel parse"},
                                            {"device_int8.onnx", "graupel optimize"},
                                            {"normalization", "graupel optimize"},
                                            {"cpu.plan", "graupel compile"},
                                            {"model.hef", "graupel compile"},
                                            {"device.json", "graupel compile"},
                                            {"before.plan", "graupel compile"},
                                            {"host.plan", "graupel compile"},
                                            {"decide.json", "graupel calibrate"},
                                            {"reports/validate.json", "graupel validate"}}};

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

Error system_error(const char* action) {
  return io_error("", std::string(action) + " failed: " + std::strerror(errno));
}

ByteSource buffer_source(std::string_view bytes) {
  return {bytes.size(), [bytes](uint64_t offset, std::span<char> out) -> Result<void> {
            bytes.copy(out.data(), out.size(), offset);
            return ok();
          }};
}

// `file` must outlive the source.
Result<ByteSource> file_source(std::FILE* file) {
  struct stat info {};
  if (::fstat(::fileno(file), &info) != 0) return system_error("reading");
  if (!S_ISREG(info.st_mode)) return io_error("", "is not a regular file");
  return ByteSource{static_cast<uint64_t>(info.st_size),
                    [file](uint64_t offset, std::span<char> out) -> Result<void> {
                      if (::fseeko(file, static_cast<off_t>(offset), SEEK_SET) != 0) {
                        return system_error("reading");
                      }
                      if (std::fread(out.data(), 1, out.size(), file) == out.size()) return ok();
                      if (std::ferror(file) != 0) return system_error("reading");
                      return corrupt("", "became shorter while it was read");
                    }};
}

Result<Manifest> read_manifest(const ByteSource& source, const ZipEntry& entry) {
  if (entry.size_bytes > kMaxManifestBytes) {
    return corrupt(entry.name, "has " + std::to_string(entry.size_bytes) + " bytes, at most " +
                                   std::to_string(kMaxManifestBytes) + " are allowed");
  }
  std::string text(entry.size_bytes, '\0');
  TRY(source.read(entry.data_offset(), text));
  // Nothing vouches for the manifest itself but the zip's own checksum.
  if (crc32_of(text) != entry.crc32) return corrupt(entry.name, "fails its CRC-32: it is damaged");
  return parse_manifest(text);
}

// The manifest and the directory name the same members with the same sizes.
Result<void> check_members(const Manifest& manifest, std::span<const ZipEntry> entries) {
  std::set<std::string_view> present;
  for (const ZipEntry& entry : entries) {
    present.insert(entry.name);
    const auto listed = manifest.members.find(entry.name);
    if (listed == manifest.members.end()) {
      return corrupt(entry.name, "is in the file, but the manifest does not list it");
    }
    if (listed->second.size_bytes != entry.size_bytes) {
      return corrupt(entry.name, "has " + std::to_string(entry.size_bytes) +
                                     " bytes, the manifest says " +
                                     std::to_string(listed->second.size_bytes));
    }
  }
  for (const auto& [name, info] : manifest.members) {
    if (present.count(name) == 0) {
      return corrupt(name, "is listed in the manifest, but the file does not hold it");
    }
  }
  return ok();
}

Result<Bundle> load(const ByteSource& source, const std::function<bool(const std::string&)>& want) {
  TRY_ASSIGN(const std::vector<ZipEntry> entries, read_directory(source));
  const std::span<const ZipEntry> members = std::span(entries).subspan(1);
  Bundle bundle;
  TRY_ASSIGN(bundle.manifest, read_manifest(source, entries.front()));
  TRY(check_members(bundle.manifest, members));
  for (const ZipEntry& entry : members) {
    if (!want(entry.name)) continue;
    std::string bytes(entry.size_bytes, '\0');
    TRY(source.read(entry.data_offset(), bytes));
    const std::string digest = sha256_hex(bytes);
    const std::string& expected = bundle.manifest.members.at(entry.name).sha256;
    if (digest != expected) {
      return corrupt(entry.name,
                     "has the SHA-256 " + digest + ", the manifest says " + expected +
                         ": the member is damaged; make the bundle again or copy it again");
    }
    bundle.members.emplace(entry.name, std::move(bytes));
  }
  return bundle;
}

Result<Bundle> load_file(const std::string& path,
                         const std::function<bool(const std::string&)>& want) {
  const File file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return system_error("opening").within(path);
  Result<ByteSource> source = file_source(file.get());
  if (!source.ok()) return std::move(source).error().within(path);
  Result<Bundle> bundle = load(*source, want);
  if (!bundle.ok()) return std::move(bundle).error().within(path);
  return bundle;
}

}  // namespace

Result<Bundle> read_bundle(const std::string& path) {
  return load_file(path, [](const std::string&) { return true; });
}

Result<Bundle> parse_bundle(std::string_view bytes) {
  return load(buffer_source(bytes), [](const std::string&) { return true; });
}

Result<Bundle> read_members(const std::string& path, std::span<const std::string_view> names) {
  return load_file(path, [names](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

Result<std::string> format_bundle(const Bundle& bundle) {
  if (bundle.members.count(std::string(kManifestName)) != 0) {
    return invalid_input(std::string(kManifestName),
                         "is written by graupel itself and cannot be a member");
  }
  Manifest manifest = bundle.manifest;
  manifest.members.clear();
  for (const auto& [name, bytes] : bundle.members) {
    TRY(check_member_name(name));
    manifest.members[name] = {sha256_hex(bytes), bytes.size()};
  }
  TRY_ASSIGN(const std::string text, format_manifest(manifest));
  std::vector<NamedBytes> entries = {{kManifestName, text}};
  for (const auto& [name, bytes] : bundle.members) entries.push_back({name, bytes});
  return write_zip(entries);
}

Result<void> write_bundle(const std::string& path, const Bundle& bundle) {
  Result<std::string> bytes = format_bundle(bundle);
  if (!bytes.ok()) return std::move(bytes).error().within(path);
  return write_file_atomic(path, *bytes);
}

Result<std::string_view> member(const Bundle& bundle, std::string_view name) {
  const auto found = bundle.members.find(std::string(name));
  if (found != bundle.members.end()) return std::string_view(found->second);
  if (bundle.manifest.members.count(std::string(name)) != 0) {
    return internal_error(std::string(name), "is in the bundle, but was not asked for on reading");
  }
  std::string what =
      "is not in this bundle (stage: " + std::string(to_string(bundle.manifest.stage)) + ")";
  for (const Maker& maker : kMakers) {
    if (maker.member == name) what += "; '" + std::string(maker.command) + "' makes it";
  }
  return invalid_input(std::string(name), what);
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  if (::SHA256(data, bytes.size(), digest.data()) == nullptr) return {};
  return hex_text({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace graupel::bundle
