// All stages in one go: one ONNX file in, one verified bundle and one report out.
// Test: deploy_test.cc.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "deploy/parse.h"
#include "deploy/stages.h"
#include "deploy/windows.h"
#include "report/report.h"

namespace graupel::deploy {

struct DeployOptions {
  std::string model;
  ParseOptions parse;
  WindowOptions calibration;
  // Windows the verdict is measured on; empty: the calibration windows (which flatters).
  WindowOptions validation;
  quantize::QuantizeOptions quantize;
  ValidateOptions validate;
  std::string output;                                    // the bundle
  std::string report;                                    // the HTML file; empty: none
  std::function<void(std::string_view stage)> progress;  // called as each stage begins
};

struct Deployed {
  Parsed parsed;
  Windows calibration;
  Optimized optimized;
  run::Plan plan;
  Validated validated;
  bundle::Bundle bundle;
};

// Writes options.output and options.report, each atomically, and only after every stage has
// succeeded; bars that were missed are in `validated`, not an error.
Result<Deployed> deploy(const DeployOptions& options);

// What the report shows of a deployment.
report::Report make_report(const Deployed& deployed, const DeployOptions& options);
std::vector<report::Bar> report_bars(const std::vector<validate::Judgement>& judgements);

}  // namespace graupel::deploy
