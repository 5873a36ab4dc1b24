// graupel compile --target hailo8: flags, progress, and what is shown. See compile_hailo.h.
#include "cli/compile_hailo.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/text.h"
#include "deploy/json.h"
#include "deploy/recut.h"

namespace graupel::cli {
namespace {

namespace fs = std::filesystem;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Result<Pairs> pairs_of(const std::string& flag, const std::vector<std::string>& settings) {
  Pairs pairs;
  for (const std::string& setting : settings) {
    const size_t equals = setting.rfind('=');
    if (equals == setting.npos || equals == 0) {
      return invalid_input(flag + " " + setting, "is not of the form NAME=VALUE");
    }
    pairs.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  return pairs;
}

Result<void> fill_options(HailoFlags& flags, const std::string& target) {
  deploy::HailoOptions& options = flags.options;
  options.target = target;
  TRY_ASSIGN(options.script.precision, pairs_of("--precision", flags.precision));
  TRY_ASSIGN(options.script.allocator, pairs_of("--allocator", flags.allocator));
  TRY_ASSIGN(options.script.resources, pairs_of("--resources", flags.resources));
  if (flags.level != -1000) options.script.optimization_level = flags.level;
  if (flags.fps > 0) options.script.fps = flags.fps;
  if (!flags.nms.empty()) options.script.nms = hailo::NmsOptions{flags.nms, "", "cpu"};
  options.extra = {{hailo::Stage::kParser, flags.parser_words},
                   {hailo::Stage::kOptimize, flags.optimize_words},
                   {hailo::Stage::kCompiler, flags.compiler_words}};
  return ok();
}

void show_findings(const Globals& globals, const std::vector<hailo::Finding>& findings) {
  for (const hailo::Finding& finding : findings) {
    const std::string text = fmt::format(
        "{}: {}{}{}{}{}", finding.id, clean_utf8(finding.where), finding.where.empty() ? "" : ": ",
        clean_utf8(finding.message), finding.fix.empty() ? "" : "; ", clean_utf8(finding.fix));
    if (finding.severity == hailo::Severity::kInfo) {
      note(globals, text);
    } else {
      warn(globals, text);
    }
  }
}

Result<int> write_kit(const Globals& globals, const HailoFlags& flags,
                      const deploy::HailoJob& made) {
  std::error_code failed;
  fs::create_directories(flags.kit, failed);
  if (failed) return io_error(flags.kit, "cannot be made: " + failed.message());
  Json names = Json::array();
  for (const auto& [name, bytes] : hailo::kit_files(made.job)) {
    TRY(write_file_atomic((fs::path(flags.kit) / name).string(), bytes));
    names.push_back(name);
  }
  show_findings(globals, made.findings);
  print_json(globals, {{"kit", flags.kit},
                       {"files", names},
                       {"findings", deploy::hailo_findings_json(made.findings)}});
  print(globals, fmt::format("kit for {}: {}\nsee {}/README.txt; nothing was compiled here\n",
                             made.job.target, flags.kit, flags.kit));
  return kDone;
}

// Puts the HEF into the bundle and writes it; 1 if something speaks against it.
Result<int> adopt(const Globals& globals, bundle::Bundle& bundle, const std::string& hef,
                  const deploy::AdoptOptions& options, const std::string& output,
                  std::vector<hailo::Finding> findings, Json json) {
  TRY_ASSIGN(const deploy::Adopted adopted, deploy::adopt_hef(bundle, hef, options));
  findings.insert(findings.end(), adopted.findings.begin(), adopted.findings.end());
  TRY(bundle::write_bundle(output, bundle));
  show_findings(globals, findings);
  json["findings"] = deploy::hailo_findings_json(findings);
  json["hef_bytes"] = hef.size();
  json["bars"] = deploy::judgements_json(adopted.judgements);
  print_json(globals, json);
  print(globals, fmt::format("model.hef {} B, in {}\n", hef.size(), output));
  const int verdict = show_verdict(globals, adopted.judgements);
  const bool doubts = std::any_of(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.severity != hailo::Severity::kInfo;
  });
  return doubts ? kMissed : verdict;
}

Result<int> bring_home(const Globals& globals, const HailoFlags& flags, const std::string& input,
                       const std::string& output, const std::string& target) {
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(input));
  TRY_ASSIGN(const std::string hef, read_file(flags.hef));
  TRY_ASSIGN(const std::vector<validate::Bar> bars,
             validate::with_limits(deploy::hef_bars(), flags.bars));
  const deploy::AdoptOptions options{target == "cpu" ? "" : target, "compile --hef", "", bars};
  Result<int> code = adopt(globals, bundle, hef, options, output, {}, Json::object());
  if (!code.ok()) return std::move(code).error().within(flags.hef);
  return code;
}

struct Watched {
  hailo::DriveOptions options;
  std::shared_ptr<hailo::Log> log;  // as far as it came, also when the compiler fails
};

Watched watched(const Globals& globals, const HailoFlags& flags, const std::string& output,
                int interrupt_fd) {
  Watched result{{}, std::make_shared<hailo::Log>()};
  hailo::DriveOptions& options = result.options;
  options.folder = flags.work.empty() ? output + ".dfc" : flags.work;
  options.stage_timeout = std::chrono::minutes(flags.timeout_minutes);
  options.fresh = flags.fresh;
  options.interrupt_fd = interrupt_fd;
  // The log itself with -v; else what the compiler is doing, when that changes.
  options.on_line = [&globals, log = result.log](hailo::Stage stage, std::string_view line) {
    const std::string before = log->stage;
    hailo::read_line(*log, line);
    if (globals.verbose) {
      note(globals, clean_utf8(line));
    } else if (log->stage != before && !log->percent) {
      note(globals, fmt::format("{}: {}", hailo::to_string(stage), log->stage));
    }
  };
  return result;
}

struct Compiled {
  deploy::HailoJob made;
  hailo::Driven driven;
};

// Once, or, where the compiler recommends an earlier cut and that is accepted, again with the
// bundle cut there: device and host part, scales and plan are those of the new cut then.
Result<Compiled> drive_with_retries(const Globals& globals, const HailoFlags& flags,
                                    const hailo::Tool& tool, const std::string& output,
                                    bundle::Bundle& bundle) {
  constexpr int kMostCuts = 4;
  const hailo::Interrupts interrupts;
  std::vector<hailo::Finding> cuts;
  for (int cut = 1;; ++cut) {
    Compiled result;
    TRY_ASSIGN(result.made, deploy::hailo_job(bundle, flags.options));
    const Watched watch = watched(globals, flags, output, interrupts.fd());
    Result<hailo::Driven> driven = hailo::drive(tool, result.made.job, watch.options);
    const std::vector<std::string>& recommended = watch.log->recommended_end_nodes;
    const bool again = !driven.ok() && driven.error().code == ErrorCode::kUnsupported &&
                       flags.accept_recommendation && !recommended.empty() &&
                       recommended != result.made.job.end_nodes && cut < kMostCuts;
    if (!again) {
      if (!driven.ok()) return std::move(driven).error();
      result.driven = std::move(*driven);
      result.made.findings.insert(result.made.findings.end(), cuts.begin(), cuts.end());
      return result;
    }
    const std::string names = fmt::format("{}", fmt::join(recommended, ", "));
    note(globals, "cutting at the recommended nodes " + names + " and optimizing again");
    TRY(deploy::recut_and_optimize(bundle, recommended, flags.options.windows));
    cuts.push_back({hailo::Severity::kInfo, "cut-accepted", "",
                    "the bundle was cut again at the recommended nodes " + names,
                    "validate it again: its host part is larger now"});
  }
}

}  // namespace

Result<int> compile_hailo(const Globals& globals, HailoFlags flags, const std::string& input,
                          const std::string& output, const std::string& target) {
  if (output.empty() && flags.kit.empty()) {
    return invalid_input("-o", "is missing: the bundle to write");
  }
  if (!flags.hef.empty()) return bring_home(globals, flags, input, output, target);
  if (target != "hailo8" && target != "hailo8l") {
    return invalid_input("--target " + target, "is none of cpu, hailo8, hailo8l");
  }
  TRY(fill_options(flags, target));
  TRY_ASSIGN(const std::vector<validate::Bar> bars,
             validate::with_limits(deploy::hef_bars(), flags.bars));
  // What is missing on this machine is said before the windows are asked for.
  hailo::Tool tool;
  if (flags.kit.empty()) {
    TRY_ASSIGN(tool, hailo::find_tool(flags.dfc));
  }
  TRY_ASSIGN(bundle::Bundle bundle, bundle::read_bundle(input));
  if (!flags.kit.empty()) {
    TRY_ASSIGN(const deploy::HailoJob made, deploy::hailo_job(bundle, flags.options));
    return write_kit(globals, flags, made);
  }
  TRY_ASSIGN(const Compiled compiled, drive_with_retries(globals, flags, tool, output, bundle));
  const hailo::Driven& driven = compiled.driven;
  std::vector<hailo::Finding> findings = compiled.made.findings;
  findings.insert(findings.end(), driven.log.findings.begin(), driven.log.findings.end());
  print(globals, deploy::driven_text(driven));
  Result<int> code =
      adopt(globals, bundle, driven.hef, {target, "compile", driven.log.compiler_version, bars},
            output, std::move(findings), deploy::driven_json(driven));
  if (!code.ok()) return std::move(code).error().within(compiled.made.job.name + ".hef");
  return code;
}

void add_hailo_flags(CLI::App& verb, HailoFlags& flags) {
  deploy::HailoOptions& options = flags.options;
  const auto text = [&](const char* name, auto& place, const char* what) {
    verb.add_option(name, place, what)->group("The vendor's compiler (hailo8, hailo8l)");
  };
  text("--dfc", flags.dfc,
       "a path to hailo, docker:IMAGE or podman:IMAGE (default: hailo on PATH)");
  text("--calib", options.windows, "the raw calibration windows optimize was given");
  verb.add_flag("--random-calib", options.random_calibration,
                "let the compiler calibrate on random data (never to be deployed)")
      ->group("The vendor's compiler (hailo8, hailo8l)");
  text("--script", options.user_script, "your own .alls model script; it wins over graupel's");
  text("--optimization-level", flags.level, "of the quantisation (default: by number of windows)");
  text("--compression-level", options.script.compression_level, "0 to 5: share of 4-bit weights");
  text("--precision", flags.precision, "LAYER=a16_w16, for a layer of the vendor's (repeatable)");
  text("--effort", options.script.compiler_effort, "0, 1, 2 or max: how hard to search");
  text("--fps", flags.fps, "frames per second to reach");
  text("--allocator", flags.allocator, "allocator_param setting NAME=VALUE (repeatable)");
  text("--resources", flags.resources, "resources_param setting NAME=VALUE (repeatable)");
  text("--nms", flags.nms, "add nms_postprocess with this meta_arch");
  text("--parser-arg", flags.parser_words, "extra word for hailo parser: --parser-arg=--compare");
  text("--optimize-arg", flags.optimize_words, "extra word for hailo optimize");
  text("--compiler-arg", flags.compiler_words, "extra word for hailo compiler");
  text("--kit", flags.kit, "write all files for compiling elsewhere into this folder");
  text("--hef", flags.hef, "a HEF compiled elsewhere: check it and put it into the bundle");
  text("--work", flags.work, "folder of intermediate files and logs (default: OUTPUT.dfc)");
  text("--bar", flags.bars, "of the HEF: ID=LIMIT, e.g. hef_latency=5 (repeatable)");
  verb.add_option("--stage-timeout", flags.timeout_minutes, "minutes a stage may take; 0: any")
      ->check(CLI::Range(int64_t{0}, int64_t{365 * 24 * 60}))
      ->group("The vendor's compiler (hailo8, hailo8l)");
  verb.add_flag("--accept-recommendation", flags.accept_recommendation,
                "where the compiler recommends an earlier cut: cut there, optimize, try again")
      ->group("The vendor's compiler (hailo8, hailo8l)");
  verb.add_flag("--fresh", flags.fresh, "run every stage, changed or not")
      ->group("The vendor's compiler (hailo8, hailo8l)");
}

}  // namespace graupel::cli
