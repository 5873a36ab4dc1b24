// The progress of training: a bar on a terminal, a line per epoch elsewhere. On stderr.
#pragma once

#include <chrono>

#include "cli/command.h"
#include "train/backend.h"

namespace graupel::cli {

class EpochProgress {
 public:
  explicit EpochProgress(const Globals& globals);
  void show(const train::StepReport& report);

 private:
  bool quiet_, terminal_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

}  // namespace graupel::cli
