// The table of loaded models. See models.h. Test: models_test.cc.
#include "serve/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include "serve/http.h"

namespace graupel::serve {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kEnding = ".graupel";
constexpr size_t kMaxNameCharacters = 64;
constexpr size_t kMaxSources = 1024;

std::optional<uint64_t> number_of(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The file's name without its ending, if that is a bundle's and safe to use as a name.
std::optional<std::string> bundle_name(const fs::path& path) {
  const std::string file = path.filename().string();
  if (!file.ends_with(kEnding)) return std::nullopt;
  return safe_token(std::string_view(file).substr(0, file.size() - kEnding.size()),
                    kMaxNameCharacters);
}

// Bundles of one folder: as models of version 1, or as versions of `model`.
Result<void> list_folder(const fs::path& folder, const std::string& model,
                         std::vector<ModelSource>& sources, std::vector<fs::path>* folders) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path& path = entries->path();
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      if (folders != nullptr) folders->push_back(path);
      continue;
    }
    const std::optional<std::string> name = bundle_name(path);
    if (!name) continue;
    if (sources.size() >= kMaxSources) {
      return invalid_input(folder.string(), fmt::format("holds more than {} bundles", kMaxSources));
    }
    sources.push_back(model.empty() ? ModelSource{*name, "1", path.string()}
                                    : ModelSource{model, *name, path.string()});
  }
  if (error) return io_error(folder.string(), "cannot be listed: " + error.message());
  return ok();
}

}  // namespace

Result<ModelSource> parse_model_source(std::string_view text) {
  const size_t equals = text.find('=');
  ModelSource source;
  source.version = "1";
  source.path = std::string(equals == std::string_view::npos ? text : text.substr(equals + 1));
  const std::string stem = fs::path(source.path).stem().string();
  const std::string_view name =
      equals == std::string_view::npos ? std::string_view(stem) : text.substr(0, equals);
  const std::optional<std::string> safe = safe_token(name, kMaxNameCharacters);
  if (!safe || source.path.empty()) {
    return invalid_input(std::string(text),
                         "is not NAME=FILE with a name of letters, digits, '-', '_' and '.'");
  }
  source.name = *safe;
  return source;
}

Result<std::vector<ModelSource>> list_model_directory(const std::string& directory) {
  std::vector<ModelSource> sources;
  std::vector<fs::path> folders;
  TRY(list_folder(directory, "", sources, &folders));
  for (const fs::path& folder : folders) {
    const std::optional<std::string> name =
        safe_token(folder.filename().string(), kMaxNameCharacters);
    if (name) TRY(list_folder(folder, *name, sources, nullptr));
  }
  std::sort(sources.begin(), sources.end(), [](const ModelSource& a, const ModelSource& b) {
    return a.name != b.name ? a.name < b.name : version_less(a.version, b.version);
  });
  return sources;
}

bool version_less(std::string_view a, std::string_view b) {
  const std::optional<uint64_t> left = number_of(a), right = number_of(b);
  if (left && right) return *left < *right;
  if (left.has_value() != right.has_value()) return right.has_value();
  return a < b;
}

std::shared_ptr<Model> Models::find(std::string_view name, std::string_view version) const {
  const auto versions = loaded.find(std::string(name));
  if (versions == loaded.end() || versions->second.empty()) return nullptr;
  if (!version.empty()) {
    const auto found = versions->second.find(std::string(version));
    return found == versions->second.end() ? nullptr : found->second;
  }
  return std::max_element(
             versions->second.begin(), versions->second.end(),
             [](const auto& a, const auto& b) { return version_less(a.first, b.first); })
      ->second;
}

std::shared_ptr<Model> Models::first() const {
  for (const ModelSource& source : sources) {
    if (std::shared_ptr<Model> model = find(source.name)) return model;
  }
  return nullptr;
}

size_t Models::count() const {
  size_t count = 0;
  for (const auto& [name, versions] : loaded) count += versions.size();
  return count;
}

}  // namespace graupel::serve
