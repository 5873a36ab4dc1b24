// The table of loaded models: names, versions, loading and unloading while requests go on.
//
// Idea: the table belongs to the loop's thread. Loading happens on a thread of its own and its
// result is posted back, so that no request waits for it; a failed load leaves what was there.
// Only files that the configuration names, or that lie in the model directory, can be loaded: a
// request names a model, never a path. Test: models_test.cc.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/model.h"

namespace graupel::serve {

// Where a model's file is. Of "fsq=/srv/fsq.graupel", or of DIR/fsq.graupel (version "1") and
// DIR/fsq/3.graupel (version "3") in a model directory.
struct ModelSource {
  std::string name, version, path;
  bool operator==(const ModelSource&) const = default;
};

// "name=path" or "path"; the name is then the file's, without its ending. Error kInvalidInput if
// the name has characters other than letters, digits, '-', '_' and '.', or more than 64.
Result<ModelSource> parse_model_source(std::string_view text);
// Every bundle in a model directory, by name and version. Errors: kIo.
Result<std::vector<ModelSource>> list_model_directory(const std::string& directory);

// "10" is newer than "9"; names that are no numbers compare as text and are older than numbers.
bool version_less(std::string_view a, std::string_view b);

struct Models {
  std::vector<ModelSource> sources;  // everything that may be loaded
  std::map<std::string, std::map<std::string, std::shared_ptr<Model>>> loaded;

  // The newest loaded version for an empty `version`; nullptr if there is none.
  std::shared_ptr<Model> find(std::string_view name, std::string_view version = {}) const;
  // The model that routes without a name use: the first configured one that is loaded.
  std::shared_ptr<Model> first() const;
  size_t count() const;
};

}  // namespace graupel::serve
