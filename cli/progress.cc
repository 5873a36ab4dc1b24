// The progress of training. See progress.h. Test: tests/cli.
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace graupel::cli {
namespace {

constexpr int kColumns = 24;
constexpr auto kRedraw = std::chrono::milliseconds(200);

std::string line_of(const train::EpochReport& epoch, int64_t epochs) {
  std::string line = fmt::format("epoch {:>3}/{}  loss {:.4f}  train {:.2f}%", epoch.epoch, epochs,
                                 epoch.train_loss, epoch.train_accuracy_percent);
  if (epoch.validation_accuracy_percent) {
    line += fmt::format("  validation loss {:.4f}, {:.2f}%", *epoch.validation_loss,
                        *epoch.validation_accuracy_percent);
  }
  if (epoch.usage) {
    line +=
        fmt::format("  codes {} (perplexity {:.1f})", epoch.usage->codes, epoch.usage->perplexity);
  }
  return line;
}

}  // namespace

EpochProgress::EpochProgress(const Globals& globals)
    : quiet_(globals.quiet || globals.json),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

void EpochProgress::show(const train::StepReport& report) {
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  if (report.finished != nullptr) {
    fmt::print(stderr, "{}{}\n", terminal_ ? "\r\x1b[K" : "",
               line_of(*report.finished, report.epochs));
    return;
  }
  if (!terminal_ || now - drawn_ < kRedraw) return;
  drawn_ = now;
  const double done = static_cast<double>(report.step) / static_cast<double>(report.steps);
  const auto filled = static_cast<size_t>(done * kColumns);
  fmt::print(stderr, "\r\x1b[Kepoch {:>3}/{}  [{}{}] {:>3.0f}%  loss {:.4f}  {:.0f} s",
             report.epoch, report.epochs, std::string(filled, '#'),
             std::string(kColumns - filled, '.'), 100.0 * done, report.loss,
             std::chrono::duration<double>(now - start_).count());
  std::fflush(stderr);
}

}  // namespace graupel::cli
