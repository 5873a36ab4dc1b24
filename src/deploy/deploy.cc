// The stages in order. See deploy.h. Test: deploy_test.cc.
#include "deploy/deploy.h"

#include "base/files.h"

namespace graupel::deploy {
namespace {

Result<Windows> validation_windows(const DeployOptions& options, const Deployed& deployed) {
  if (options.validation.windows.empty()) return deployed.calibration;
  WindowOptions validation = options.validation;
  validation.normalization.clear();
  TRY_ASSIGN(Windows windows, load_windows(validation, deployed.parsed.original));
  // The statistics measured on the calibration windows hold for every window after them.
  return normalized_windows(std::move(windows.raw), std::move(windows.labels),
                            deployed.calibration.normalization);
}

}  // namespace

Result<Deployed> deploy(const DeployOptions& options) {
  const auto begin = [&](std::string_view stage) {
    if (options.progress) options.progress(stage);
  };
  Deployed deployed;
  begin("read, simplify, check, cut");
  TRY_ASSIGN(deployed.parsed, parse(options.model, options.parse));
  TRY_ASSIGN(deployed.calibration, load_windows(options.calibration, deployed.parsed.original));
  TRY_ASSIGN(deployed.bundle, to_bundle(deployed.parsed));

  begin("optimize");
  TRY_ASSIGN(deployed.optimized, optimize(deployed.bundle, deployed.calibration, options.quantize,
                                          &deployed.parsed.original));
  begin("compile");
  TRY_ASSIGN(deployed.plan, compile(deployed.bundle));

  begin("validate");
  TRY_ASSIGN(const Windows windows, validation_windows(options, deployed));
  TRY_ASSIGN(deployed.validated,
             validate(deployed.bundle, deployed.parsed.original, windows, options.validate));
  if (!options.output.empty()) {
    TRY(bundle::write_bundle(options.output, deployed.bundle));
    TRY_ASSIGN(const std::vector<validate::Bar> bars,
               validate::with_limits(validate::default_bars(), options.validate.bars));
    for (const validate::Bar& bar : bars) {
      if (bar.id != "read_back_mismatches") continue;
      deployed.validated.judgements.push_back(
          judge_read_back(options.output, deployed.bundle, bar));
    }
  }
  if (!options.report.empty()) {
    TRY(write_file_atomic(options.report, report::render_html(make_report(deployed, options))));
  }
  return deployed;
}

}  // namespace graupel::deploy
