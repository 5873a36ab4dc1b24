// Stage 6 for the NPU: from a bundle to the vendor's compiler, and its HEF into the bundle.
// Test: tests/hailo, tests/standin.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "deploy/windows.h"
#include "hailo/drive.h"
#include "hailo/findings.h"
#include "hailo/job.h"
#include "hailo/make_script.h"

namespace graupel::deploy {

struct HailoOptions {
  std::string target = "hailo8";
  std::string windows;              // calibration windows, raw as for optimize
  bool random_calibration = false;  // let the compiler invent them
  hailo::ScriptOptions script;
  std::string user_script;  // a .alls file; empty: none
  std::map<hailo::Stage, std::vector<std::string>> extra;
};

struct HailoJob {
  hailo::Job job;
  std::vector<hailo::Finding> findings;
};
// device.onnx, the calibration windows as the device gets them (preprocessed and through the part
// in front of the cut, channels last) and the merged model script. Errors: kInvalidInput for a
// script with errors, extra words the compiler does not have, no windows; those of the readers.
Result<HailoJob> hailo_job(const bundle::Bundle& bundle, const HailoOptions& options);

struct AdoptOptions {
  std::string target;    // empty: the one the bundle was parsed for
  std::string made_by;   // "compile" or "compile --hef", for provenance
  std::string compiler;  // what the log says its version is; may be empty
};
// Puts a HEF into the bundle as model.hef, with its provenance. The findings hold what speaks
// against it: another device, 10 MB or more. Errors: those of hailo::read_hef_header; kInvalidInput
// for a HEF of another device.
Result<std::vector<hailo::Finding>> adopt_hef(bundle::Bundle& bundle, const std::string& bytes,
                                              const AdoptOptions& options);

nlohmann::ordered_json hailo_findings_json(const std::vector<hailo::Finding>& findings);
nlohmann::ordered_json driven_json(const hailo::Driven& driven);
// Utilisation, SNR per output and times, as text.
std::string driven_text(const hailo::Driven& driven);

}  // namespace graupel::deploy
