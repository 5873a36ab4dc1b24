// manifest.json as text: the only JSON a bundle needs in order to be read. Test: manifest_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "bundle/bundle.h"

namespace graupel::bundle {

// Pretty-printed JSON ending in a newline. Error kInvalidInput if a text is not UTF-8, the
// provenance is not an object or nests too deeply, or the whole is larger than kMaxManifestBytes.
Result<std::string> format_manifest(const Manifest& manifest);

// Errors: kCorrupt for text that is not such a manifest, naming the key; kUnsupported for another
// format version. Member names are not judged here: the zip layout has done it.
Result<Manifest> parse_manifest(std::string_view text);

}  // namespace graupel::bundle
