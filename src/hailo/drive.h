// Running the vendor's compiler: found, fed, watched, and its result brought back.
// Test: drive_test.cc, against stand-ins for `hailo` and `docker`; the vendor's own never ran here.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hailo/job.h"
#include "hailo/log.h"

namespace graupel::hailo {

struct Tool {
  std::string program;  // the `hailo` that is run, or docker or podman
  std::string image;    // empty: no container
};

// "" looks for `hailo` on PATH; "docker:IMAGE" and "podman:IMAGE" name a container image; anything
// else is a path to `hailo`. Error kDevice says what is missing and the two ways out.
Result<Tool> find_tool(const std::string& choice);

struct DriveOptions {
  std::string folder;  // of inputs, results and logs; made if it is not there
  std::chrono::seconds stage_timeout{12 * 3600};
  bool fresh = false;     // run stages even if nothing changed
  int interrupt_fd = -1;  // see RunOptions
  std::function<void(Stage stage, std::string_view line)> on_line;  // the log as it comes
};

struct StageRun {
  Stage stage = Stage::kParser;
  bool kept = false;  // not run: nothing had changed since it last succeeded
};

struct Driven {
  std::string hef;  // bytes
  std::vector<StageRun> stages;
  Log log;  // of all stages, those that were kept included
};

// parser, optimize, compiler. A stage whose program, words and input files are those of the last
// run, and whose result is still there, is kept. In a container nothing is mounted: files are
// copied in and out, and it is removed whatever happens.
// Errors: kDevice if tool or image is not there; kUnsupported with cause and remedy when the
// compiler refuses; kIo for timeouts, interrupts, crashes and files.
Result<Driven> drive(const Tool& tool, const Job& job, const DriveOptions& options);

}  // namespace graupel::hailo
