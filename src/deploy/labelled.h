// Windows, labels and groups for a compiled bundle. Test: calibrate_test.cc.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "deploy/windows.h"

namespace graupel::deploy {

struct LabelledPaths {
  std::string data;    // .npy, .npz, .csv; raw windows if the bundle normalises
  std::string labels;  // optional; else those the windows' file carries
  std::string groups;  // optional; else the subjects the windows' file carries
};

struct Labelled {
  Windows windows;              // labels as far as there are any
  std::vector<int64_t> groups;  // one per window, or empty
  std::string data_sha256, labels_sha256;
};

// Windows have the shape of the plan's input; labels lie in [0, logits). Errors name the file.
Result<Labelled> load_labelled(const bundle::Bundle& bundle, const LabelledPaths& paths);

}  // namespace graupel::deploy
