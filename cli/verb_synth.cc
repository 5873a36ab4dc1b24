// graupel synth: windows to try things with.
#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "cli/command.h"
#include "data/npy.h"
#include "data/synth.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string output, shape, normalization;
  data::SynthOptions options;
};

Result<void> write_noise(const Flags& flags) {
  TRY_ASSIGN(const Shape shape, parse_shape(flags.shape));
  TRY_ASSIGN(const Tensor noise,
             data::synth_noise(shape, flags.options.windows, flags.options.seed));
  return data::write_npy(flags.output + "/windows.npy", noise);
}

Result<void> write_behaviours(const Flags& flags) {
  data::SynthOptions options = flags.options;
  if (!flags.normalization.empty()) {
    TRY_ASSIGN(const std::string text, read_file(flags.normalization, 1 << 20));
    TRY_ASSIGN(options.normalization, data::parse_normalization(text));
  }
  TRY_ASSIGN(const data::SynthSet set, data::synth_windows(options));
  TRY(data::write_npy(flags.output + "/windows.npy", set.windows));
  TRY(data::write_npy(flags.output + "/labels.npy", set.labels));
  TRY(data::write_npy(flags.output + "/subjects.npy", set.subjects));
  std::string names;
  for (const std::string_view name : data::behaviour_names()) names += std::string(name) + "\n";
  return write_file_atomic(flags.output + "/class_names.txt", names);
}

Result<int> run(const Globals& globals, const Flags& flags) {
  std::error_code failed;
  std::filesystem::create_directories(flags.output, failed);
  if (failed) return io_error(flags.output, "cannot be made: " + failed.message());
  TRY(flags.shape.empty() ? write_behaviours(flags) : write_noise(flags));
  print_json(globals, {{"folder", flags.output}, {"windows", flags.options.windows}});
  print(globals, fmt::format("{} windows in {}\n", flags.options.windows, flags.output));
  return kDone;
}

}  // namespace

void add_synth(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "synth", "generated windows: ten behaviours, or noise",
                            "graupel synth -o data --windows 1000 --subjects 20 --seed 7",
                            [&globals, flags] { return run(globals, *flags); });
  data::SynthOptions& options = flags->options;
  verb->add_option("-o,--output", flags->output, "folder for windows.npy and labels.npy")
      ->required();
  verb->add_option("--windows", options.windows, "how many")->capture_default_str();
  verb->add_option("--subjects", options.subjects, "different people")->capture_default_str();
  verb->add_option("--first-subject", options.first_subject, "id of the first")
      ->capture_default_str();
  verb->add_option("--seed", options.seed, "another seed, other windows")->capture_default_str();
  verb->add_option("--normalization", flags->normalization, "z-score with a normalization.json");
  verb->add_option("--shape", flags->shape, "plain noise for another input, e.g. 3x32x32");
}

}  // namespace graupel::cli
