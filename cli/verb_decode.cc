// graupel decode: a recording's timeline of behaviour.
#include <fmt/format.h>

#include "base/files.h"
#include "cli/command.h"
#include "deploy/decode.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input, mode = "offline", groups, labels, csv, svg, json_file;
  size_t lag = 10;
  deploy::RecordingOptions recording;
};

Result<void> write_files(const Flags& flags, const deploy::Timeline& timeline) {
  if (!flags.csv.empty()) TRY(write_file_atomic(flags.csv, deploy::timeline_csv(timeline)));
  if (!flags.svg.empty()) TRY(write_file_atomic(flags.svg, deploy::timeline_svg(timeline)));
  if (flags.json_file.empty()) return ok();
  return write_file_atomic(flags.json_file, deploy::timeline_json(timeline).dump(2) + "\n");
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const deploy::BundleHsmm hsmm, deploy::bundle_hsmm(flags.input));
  TRY_ASSIGN(run::BundleEngine loaded, run::load_bundle_engine(flags.input));
  deploy::RecordingOptions recording = flags.recording;
  if (recording.hop_samples == 0) recording.hop_samples = hsmm.model.hop_samples;
  if (recording.rate_hz == 0.0) recording.rate_hz = hsmm.model.rate_hz;
  TRY_ASSIGN(const deploy::Recordings recordings,
             deploy::answer_recordings(loaded, recording, flags.labels, flags.groups));
  deploy::DecodeOptions options;
  options.lag = flags.lag;
  if (flags.mode == "filter") options.mode = deploy::DecodeMode::kFilter;
  if (flags.mode == "lag") options.mode = deploy::DecodeMode::kLag;
  if (flags.mode == "commit") options.mode = deploy::DecodeMode::kCommit;
  TRY_ASSIGN(const deploy::Timeline timeline,
             deploy::decode(hsmm, recordings, loaded.labels, options));
  TRY(write_files(flags, timeline));
  print(globals, deploy::timeline_text(timeline));
  print_json(globals, deploy::timeline_json(timeline));
  if (!globals.json) {
    for (const std::string& text : timeline.notes) note(globals, text);
  }
  return kDone;
}

}  // namespace

void add_decode(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "decode", "a recording's timeline of behaviour (HSMM)",
                            "graupel decode model.graupel recording.csv --sensors hip,wrist "
                            "--svg timeline.svg",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "a bundle with an HSMM")->required();
  deploy::RecordingOptions& recording = flags->recording;
  verb->add_option("recording", recording.path, "readings (.csv), signals or windows (.npy)")
      ->required();
  verb->add_option(
          "--mode", flags->mode,
          "what an answer may know: all, some windows more, the past, or enough to be final")
      ->check(CLI::IsMember({"offline", "lag", "filter", "commit"}))
      ->capture_default_str();
  verb->add_option("--lag", flags->lag, "windows, for --mode lag")->capture_default_str();
  verb->add_option("--hop", recording.hop_samples, "samples between windows; default the HSMM's");
  verb->add_option("--rate", recording.rate_hz, "Hz of the windows; default the HSMM's");
  verb->add_option("--gap", recording.gap_s, "longest gap to fill, s")->capture_default_str();
  verb->add_option("--sensors", recording.sensors, "of a .csv, in the order of the window's rows")
      ->delimiter(',');
  verb->add_option("--config", recording.config, "TOML as for prepare: units, label map, offsets");
  verb->add_option("--labels", flags->labels, "class of each window of an .npy, to compare with");
  verb->add_option("--groups", flags->groups, "recording of each window of an .npy");
  verb->add_option("--contexts", recording.contexts, "context of each window of an .npy");
  verb->add_option("--csv", flags->csv, "file for the segments");
  verb->add_option("--svg", flags->svg, "file for the ribbon");
  verb->add_option("-o,--output", flags->json_file, "file for the JSON");
}

}  // namespace graupel::cli
