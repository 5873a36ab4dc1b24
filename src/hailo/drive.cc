// Running the vendor's compiler. See drive.h. Test: drive_test.cc.
//
// Idea: a place is where the compiler runs, a folder or a container's /tmp/graupel; the stages do
// not know which. Each stage leaves STAGE.log and, when it succeeded, STAGE.done with the digest of
// all that went in and of what came out.
#include "hailo/drive.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "bundle/bundle.h"

namespace graupel::hailo {
namespace {

namespace fs = std::filesystem;
constexpr const char* kInside = "/tmp/graupel";
constexpr size_t kLogLimitBytes = size_t{32} << 20;
constexpr std::chrono::seconds kShort{300};

struct Place {
  const Tool& tool;
  const DriveOptions& options;
  std::string container;  // its name; empty: none

  bool is_container() const { return !tool.image.empty(); }
};

// Why a short command failed, by what it said last: a machine that lacks something, or a file.
Error cause_of(const std::string& command, std::string_view verb, const std::string& said) {
  const auto has = [&](std::string_view text) { return said.find(text) != said.npos; };
  if (has("permission denied") && has(".sock")) {
    return device_error(command,
                        "may not be used by this user; add the user to the group of that "
                        "socket (docker), or use podman: " +
                            said);
  }
  if (has("Cannot connect to the Docker daemon")) {
    return device_error(command, "has no daemon to talk to; start it: " + said);
  }
  if (has("no space left")) return io_error(command, "found the disk full: " + said);
  if (verb == "cp" || verb == "exec") return io_error(command, "failed: " + said);
  return device_error(command, "failed: " + said);
}

// A short command of docker or podman, or `hailo --version`: its output, or an error with it.
Result<std::string> ask(const Place& place, std::vector<std::string> words, bool may_interrupt) {
  std::string output;
  words.insert(words.begin(), place.tool.program);
  RunOptions run;
  run.timeout = kShort;
  run.interrupt_fd = may_interrupt ? place.options.interrupt_fd : -1;
  run.on_line = [&](std::string_view line) {
    if (output.size() < 65536) output += (output.empty() ? "" : "\n") + std::string(line);
  };
  TRY_ASSIGN(const Finished finished, run_command({words, ""}, run));
  if (finished.ending == Ending::kInterrupted) return io_error(words[0], "interrupted");
  if (finished.ending != Ending::kExited || finished.code != 0) {
    const std::string command = fmt::format("{} {}", words[0], words[1]);
    if (finished.ending == Ending::kTimeout) return io_error(command, "did not answer");
    return cause_of(command, words[1], output.substr(output.rfind('\n') + 1));
  }
  return output;
}

Result<std::string> identity(const Place& place) {
  if (!place.is_container()) return ask(place, {"--version"}, true);
  Result<std::string> id =
      ask(place, {"image", "inspect", "--format", "{{.Id}}", place.tool.image}, true);
  if (id.ok() || id.error().code != ErrorCode::kDevice) return id;
  return device_error(place.tool.image,
                      "is not among the container images here; load the vendor's download with "
                      "'docker load -i FILE' (" +
                          id.error().what + ")");
}

Result<void> open(Place& place) {
  if (!place.is_container()) return ok();
  place.container = fmt::format("graupel-dfc-{}-{:x}", ::getpid(),
                                std::chrono::steady_clock::now().time_since_epoch().count());
  // The main process ends by itself should nobody be left to remove the container.
  const auto lifetime = 3 * place.options.stage_timeout + kShort;
  TRY(ask(place,
          {"create", "--rm", "--name", place.container, "--entrypoint", "sleep", place.tool.image,
           std::to_string(lifetime.count())},
          true));
  TRY(ask(place, {"start", place.container}, true));
  // Made by the container's own user, who may therefore write in it, whoever that is.
  return [&]() -> Result<void> {
    TRY(ask(place, {"exec", place.container, "mkdir", "-p", kInside}, true));
    return ok();
  }();
}

void close(const Place& place) {
  if (!place.container.empty()) (void)ask(place, {"rm", "--force", place.container}, false);
}

std::string path_in(const Place& place, const std::string& file) {
  return (fs::path(place.options.folder) / file).string();
}

Result<void> copy_in(const Place& place, const std::string& file) {
  if (!place.is_container()) return ok();
  TRY(ask(place, {"cp", path_in(place, file), place.container + ":" + kInside + "/" + file}, true));
  return ok();
}

Result<void> copy_out(const Place& place, const std::string& file) {
  if (!place.is_container()) return ok();
  TRY(ask(place, {"cp", place.container + ":" + kInside + "/" + file, path_in(place, file)}, true));
  return ok();
}

Result<std::string> file_digest(const std::string& path) {
  TRY_ASSIGN(const std::string bytes, read_file(path));
  return bundle::sha256_hex(bytes);
}

// What a stage depends on, as one digest.
Result<std::string> stage_key(const Place& place, const Job& job, Stage stage,
                              const std::string& identity) {
  std::string all = place.tool.program + '\0' + place.tool.image + '\0' + identity;
  for (const std::string& word : words_of(job, stage)) all += '\0' + word;
  for (const std::string& file : files_of(job, stage).inputs) {
    TRY_ASSIGN(const std::string digest, file_digest(path_in(place, file)));
    all += '\0' + file + '\0' + digest;
  }
  return bundle::sha256_hex(all);
}

std::string marker(const Place& place, Stage stage, const char* ending) {
  return path_in(place, std::string(to_string(stage)) + ending);
}

bool is_done(const Place& place, const Job& job, Stage stage, const std::string& key) {
  const Result<std::string> done = read_file(marker(place, stage, ".done"), 4096);
  const Result<std::string> output = file_digest(path_in(place, files_of(job, stage).output));
  return done.ok() && output.ok() && *done == key + "\n" + *output + "\n";
}

void read_log(Log& log, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    read_line(log, std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
}

// The cause the log gives for a failure, with its remedy.
Error failure(const Log& log, Stage stage, const Finished& finished, const std::string& log_path) {
  const std::string where = fmt::format("hailo {}", to_string(stage));
  const std::string see = fmt::format(" (whole log: {})", log_path);
  switch (finished.ending) {
    case Ending::kInterrupted: return io_error(where, "interrupted; the stages before it are kept");
    case Ending::kTimeout:
      return io_error(where, "took too long and was stopped; see --stage-timeout" + see);
    case Ending::kSignal:
      return io_error(where, fmt::format("crashed with signal {}; with signal 9 the machine "
                                         "probably ran out of memory{}",
                                         finished.code, see));
    case Ending::kExited: break;
  }
  const Finding* cause = nullptr;
  const Finding* cut = nullptr;
  for (const Finding& finding : log.findings) {
    if (finding.severity == Severity::kError && cause == nullptr) cause = &finding;
    if (finding.id == "recommended-cut") cut = &finding;
  }
  if (cause == nullptr && cut == nullptr) {
    return io_error(where, fmt::format("failed with exit status {} and no cause graupel knows{}",
                                       finished.code, see));
  }
  std::string what = cause == nullptr ? "" : cause->message + "; " + cause->fix;
  if (cause != nullptr && !cause->where.empty()) what = cause->where + ": " + what;
  if (cut != nullptr) what += (what.empty() ? "" : "; ") + cut->message + "; " + cut->fix;
  return unsupported(where, what + see);
}

Result<void> run_stage(const Place& place, const Job& job, Stage stage, Log& log) {
  const StageFiles files = files_of(job, stage);
  std::error_code ignored;
  fs::remove(path_in(place, files.output), ignored);
  fs::remove(marker(place, stage, ".done"), ignored);
  for (const std::string& file : files.inputs) TRY(copy_in(place, file));
  Command command{{place.tool.program}, place.options.folder};
  if (place.is_container()) {
    command = {{place.tool.program, "exec", "--workdir", kInside, place.container, "hailo"}, ""};
  }
  const std::vector<std::string> words = words_of(job, stage);
  command.words.insert(command.words.end(), words.begin(), words.end());
  std::string text;
  RunOptions run;
  run.timeout = place.options.stage_timeout;
  run.interrupt_fd = place.options.interrupt_fd;
  run.on_line = [&](std::string_view line) {
    if (text.size() < kLogLimitBytes) text += std::string(line) + "\n";
    if (place.options.on_line) place.options.on_line(stage, line);
  };
  TRY_ASSIGN(const Finished finished, run_command(command, run));
  const std::string log_path = marker(place, stage, ".log");
  TRY(write_file_atomic(log_path, text));
  read_log(log, text);
  if (finished.ending != Ending::kExited || finished.code != 0) {
    return failure(log, stage, finished, log_path);
  }
  const Result<void> copied = copy_out(place, files.output);
  if (!copied.ok() || !fs::exists(path_in(place, files.output), ignored)) {
    return io_error(
        fmt::format("hailo {}", to_string(stage)),
        fmt::format("ended well but made no {} (whole log: {})", files.output, log_path));
  }
  return ok();
}

Result<Driven> drive_in(const Place& place, const Job& job, const std::string& identity) {
  Driven driven;
  for (const Stage stage : {Stage::kParser, Stage::kOptimize, Stage::kCompiler}) {
    TRY_ASSIGN(const std::string key, stage_key(place, job, stage, identity));
    const bool kept = !place.options.fresh && is_done(place, job, stage, key);
    if (kept) {
      const Result<std::string> text = read_file(marker(place, stage, ".log"), 2 * kLogLimitBytes);
      if (text.ok()) read_log(driven.log, *text);
    } else {
      TRY(run_stage(place, job, stage, driven.log));
      TRY_ASSIGN(const std::string output,
                 file_digest(path_in(place, files_of(job, stage).output)));
      TRY(write_file_atomic(marker(place, stage, ".done"), key + "\n" + output + "\n"));
    }
    driven.stages.push_back({stage, kept});
  }
  TRY_ASSIGN(driven.hef, read_file(path_in(place, job.name + ".hef")));
  return driven;
}

}  // namespace

Result<Tool> find_tool(const std::string& choice) {
  for (const std::string engine : {"docker", "podman"}) {
    if (!choice.starts_with(engine + ":")) continue;
    const std::string image = choice.substr(engine.size() + 1);
    if (image.empty() || image[0] == '-') {
      return invalid_input("--dfc " + choice, "names no image; write " + engine + ":IMAGE");
    }
    const std::optional<std::string> program = find_program(engine);
    if (program) return Tool{*program, image};
    return device_error("--dfc " + choice, engine +
                                               " is not installed here; install it, or write "
                                               "the files for another machine with --kit DIR");
  }
  const std::optional<std::string> program = find_program(choice.empty() ? "hailo" : choice);
  // Absolute, for it is run from another folder.
  if (program) return Tool{fs::absolute(*program).string(), ""};
  if (!choice.empty()) return device_error("--dfc " + choice, "is no executable file");
  return device_error("Dataflow Compiler",
                      "there is no `hailo` on PATH. Either name the vendor's container image "
                      "(--dfc docker:hailo8_ai_sw_suite_2025-07:1) or compile elsewhere: --kit DIR "
                      "writes all files, --hef brings the result home");
}

Result<Driven> drive(const Tool& tool, const Job& job, const DriveOptions& options) {
  std::error_code failed;
  fs::create_directories(options.folder, failed);
  if (failed) return io_error(options.folder, "cannot be made: " + failed.message());
  Place place{tool, options, ""};
  TRY_ASSIGN(const std::string who, identity(place));
  for (const auto& [file, bytes] : job.inputs) TRY(write_file_atomic(path_in(place, file), bytes));
  Result<void> opened = open(place);
  Result<Driven> driven =
      opened.ok() ? drive_in(place, job, who) : Result<Driven>(std::move(opened).error());
  close(place);
  return driven;
}

}  // namespace graupel::hailo
