// Flags of graupel calibrate. See calibrate_flags.h.
#include "cli/calibrate_flags.h"

namespace graupel::cli {
namespace {

void add_method_flags(CLI::App& verb, CalibrateFlags& flags) {
  deploy::MethodNames& names = flags.names;
  decide::Conformal& conformal = flags.options.conformal;
  verb.add_option("--alpha", conformal.alpha, "share of sets that may miss")->capture_default_str();
  verb.add_option("--method", names.method, "lac, aps, raps, saps")->capture_default_str();
  verb.add_option("--condition", names.condition, "a threshold for all: marginal; per class; group")
      ->capture_default_str();
  verb.add_flag("--randomised", conformal.randomised, "one random number per window (not lac)");
  verb.add_option("--empty-sets", names.empty_sets, "what empty sets become: top-class, or keep")
      ->capture_default_str();
  verb.add_option("--confidence", names.confidence, "auto, none, temperature, vector, per-group")
      ->capture_default_str();
  verb.add_option("--seed", flags.options.split.seed, "of the split")->capture_default_str();
}

void add_hsmm_flags(CLI::App& verb, deploy::HsmmNames& hsmm) {
  CLI::Option* wanted = verb.add_flag(
      "--hsmm", hsmm.wanted, "the windows are recordings in order: learn how long behaviours last");
  verb.add_option("--recordings", hsmm.recordings,
                  "the recording of each window; default: every run of one group is one")
      ->needs(wanted);
  verb.add_option("--hop", hsmm.hop_samples, "samples from one window to the next")->needs(wanted);
  verb.add_option("--rate", hsmm.rate_hz, "Hz of the windows, for seconds")->needs(wanted);
  verb.add_option("--emission", hsmm.emission, "what it reads: posteriors, FSQ codes, both")
      ->needs(wanted)
      ->capture_default_str();
}

}  // namespace

void add_calibrate_flags(CLI::App& verb, CalibrateFlags& flags) {
  add_method_flags(verb, flags);
  add_hsmm_flags(verb, flags.hsmm);
}

}  // namespace graupel::cli
