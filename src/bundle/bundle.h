// The bundle `name.graupel`: the one artefact that grows through the stages of graupel.
//
// A bundle is a plain uncompressed zip: manifest.json first, then the members in byte order of
// their names. The manifest names every member with its size and SHA-256, so a bundle that reads
// without error is exactly what was written. Same bundle, same bytes, on every machine.
// Format: docs/formats/bundle.md. Tests: bundle_test.cc, manifest_test.cc, zip_store_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace graupel::bundle {

inline constexpr int kFormatVersion = 1;
// Limits of a file that is read, and therefore of one that is written.
inline constexpr uint64_t kMaxFileBytes = uint64_t{2} << 30;
inline constexpr size_t kMaxEntries = 1024;  // the manifest included
inline constexpr size_t kMaxNameBytes = 200;
inline constexpr size_t kMaxManifestBytes = size_t{1} << 20;
inline constexpr int kMaxManifestDepth = 32;

inline constexpr std::string_view kManifestName = "manifest.json";

// How far the bundle has come; each stage keeps what the earlier ones gave.
enum class Stage { kParsed, kOptimized, kCompiled, kCalibrated };

std::string_view to_string(Stage stage);  // "parsed", "optimized", "compiled", "calibrated"
std::optional<Stage> parse_stage(std::string_view name);

struct MemberInfo {
  std::string sha256;  // 64 lower-case hexadecimal digits
  uint64_t size_bytes = 0;

  bool operator==(const MemberInfo&) const = default;
};

struct Manifest {
  int format_version = kFormatVersion;
  Stage stage = Stage::kParsed;
  std::string model_name;
  // Where the bundle comes from, free in form: tool version, input file and its SHA-256, target,
  // options, one entry per stage. Always a JSON object; the order of its keys is kept.
  nlohmann::ordered_json provenance = nlohmann::ordered_json::object();
  // Every member of the file. Filled in by reading; writing computes it from Bundle::members.
  std::map<std::string, MemberInfo> members;

  bool operator==(const Manifest&) const = default;
};

struct Bundle {
  Manifest manifest;
  std::map<std::string, std::string> members;  // name -> bytes

  bool operator==(const Bundle&) const = default;
};

// Reads and verifies a whole bundle: layout, manifest, the size and SHA-256 of every member.
// Memory: the members, at most the file's size, and the manifest, below 64 MiB for hostile JSON.
// Errors: kIo if the file cannot be read; kInvalidInput if it is no bundle at all; kUnsupported
// if a newer graupel wrote it; kCorrupt, naming the member, for everything else.
Result<Bundle> read_bundle(const std::string& path);
Result<Bundle> parse_bundle(std::string_view bytes);

// Reads the manifest and, of the named members, those the bundle holds; the other members are
// neither read nor hashed. Layout, manifest and the loaded members are verified as above. Ask for
// each member with member(), which says what is missing.
Result<Bundle> read_members(const std::string& path, std::span<const std::string_view> names);

// The bytes of the file. Error kInvalidInput for a member name, manifest or size that reading
// would refuse.
Result<std::string> format_bundle(const Bundle& bundle);
// Writes atomically: `path` holds the old bundle or the new one. Errors: those of format_bundle,
// and kIo.
Result<void> write_bundle(const std::string& path, const Bundle& bundle);

// The bytes of one member, valid as long as `bundle`. Error kInvalidInput names the missing
// member and the command that makes it.
Result<std::string_view> member(const Bundle& bundle, std::string_view name);

// 64 lower-case hexadecimal digits (FIPS 180-4); empty, which equals no digest, if libcrypto was
// configured without SHA-256.
std::string sha256_hex(std::string_view bytes);

}  // namespace graupel::bundle
