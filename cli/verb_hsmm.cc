// graupel hsmm: how long behaviours last and what follows what, learned from recordings.
#include <fmt/format.h>

#include "cli/command.h"
#include "deploy/decode.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, output, labels, groups, emission = "posteriors";
  bool unlabelled = false;
  deploy::RecordingOptions recording;
};

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(flags.input));
  TRY_ASSIGN(run::BundleEngine loaded, run::load_bundle_engine(flags.input));
  TRY_ASSIGN(const deploy::Recordings recordings,
             deploy::answer_recordings(loaded, flags.recording, flags.labels, flags.groups));
  const deploy::FitBy by = flags.unlabelled ? deploy::FitBy::kEm : deploy::FitBy::kLabels;
  TRY_ASSIGN(const calibrate::HsmmFit fit,
             deploy::add_hsmm(bundle, recordings, by, *decide::parse_emission_use(flags.emission)));
  const std::string output = flags.output.empty() ? flags.input : flags.output;
  TRY(bundle::write_bundle(output, bundle));
  print(globals, deploy::fit_text(fit, loaded.labels));
  print_json(globals, deploy::fit_json(fit));
  if (!globals.json) {
    for (const std::string& text : recordings.notes) note(globals, text);
    for (const std::string& text : fit.model.notes) warn(globals, text);
  }
  // A model that makes answers worse on people it has not seen is stored, and said to do so.
  const bool worse = fit.held_out && fit.held_out->path_accuracy < fit.held_out->argmax_accuracy;
  if (worse) warn(globals, "on people not fitted on, the HSMM lowers the accuracy");
  return worse ? kMissed : kDone;
}

}  // namespace

void add_hsmm(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "hsmm", "fit how long behaviours last (for decode)",
                            "graupel hsmm model.graupel labelled.csv --sensors hip,wrist --rate 25 "
                            "--hop 25 -o model.graupel",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a compiled bundle, best a calibrated one")->required();
  deploy::RecordingOptions& recording = flags->recording;
  verb->add_option("recording", recording.path,
                   "labelled readings (.csv), or windows in the order of time (.npy)")
      ->required();
  verb->add_option("--hop", recording.hop_samples,
                   "samples between windows; default half a window");
  verb->add_option("--rate", recording.rate_hz, "Hz of the windows; a .csv needs it");
  verb->add_option("--gap", recording.gap_s, "longest gap to fill, s")->capture_default_str();
  verb->add_option("--sensors", recording.sensors, "of a .csv, in the order of the window's rows")
      ->delimiter(',');
  verb->add_option("--config", recording.config, "TOML as for prepare: units, label map, offsets");
  verb->add_option("--labels", flags->labels, "class of each window of an .npy");
  verb->add_option("--groups", flags->groups, "person of each window of an .npy");
  verb->add_option("--contexts", recording.contexts, "context of each window of an .npy");
  verb->add_option("--emission", flags->emission, "what it reads: posteriors, FSQ codes, both")
      ->check(CLI::IsMember({"posteriors", "codes", "both"}))
      ->capture_default_str();
  verb->add_flag("--unlabelled", flags->unlabelled, "fit by EM, without labels");
  verb->add_option("-o,--output", flags->output, "bundle; default the input");
}

}  // namespace graupel::cli
