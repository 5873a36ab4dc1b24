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
#include "validate/bars.h"

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

// What the HEF itself tells: errors in it, size, the compiler's simulated rate and latency.
std::vector<validate::Bar> hef_bars();

struct AdoptOptions {
  std::string target;    // empty: the one the bundle was parsed for
  std::string made_by;   // "compile" or "compile --hef", for provenance
  std::string compiler;  // what the log says its version is; may be empty
  std::vector<validate::Bar> bars = hef_bars();
};
struct Adopted {
  std::vector<hailo::Finding> findings;
  std::vector<validate::Judgement> judgements;  // of the bars, in their order
};
// Puts a HEF into the bundle as model.hef, with reports/hef.json and its provenance. Errors: those
// of hef::read_hef; kInvalidInput for a HEF of another device, or whose streams are not those of
// the bundle's device part. The bundle is unchanged then.
Result<Adopted> adopt_hef(bundle::Bundle& bundle, const std::string& bytes,
                          const AdoptOptions& options);

nlohmann::ordered_json hailo_findings_json(const std::vector<hailo::Finding>& findings);
nlohmann::ordered_json driven_json(const hailo::Driven& driven);
// Utilisation, SNR per output and times, as text.
std::string driven_text(const hailo::Driven& driven);

}  // namespace graupel::deploy
