// Any bytes as a decision block: an error, or a block that is written and read back the same and
// decides a short stream with numbers that are probabilities.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "decide/stream.h"

namespace {

using namespace graupel::decide;

constexpr size_t kMostCells = 1 << 15;  // states x longest duration: keeps a run short

void follow(const Block& block) {
  const auto classes = static_cast<size_t>(block.classes);
  const graupel::Result<Decider> decider = make_decider(block, classes);
  if (!decider.ok()) return;
  Stream stream = start_stream(*decider);
  std::vector<int64_t> digits;
  if (const auto& shared = decider->sequence) {
    if (shared->tables->states * shared->tables->maximum_duration > kMostCells) return;
    digits.assign(shared->model.emission.levels.size(), 1);
    SequenceOptions options;
    options.lag = 3;
    options.contexts = true;
    graupel::Result<Stream> recording = start_recording(*decider, options, digits.size());
    if (!recording.ok()) std::abort();
    stream = *std::move(recording);
  }
  std::vector<float> logits(classes);
  for (size_t t = 0; t < 9; ++t) {
    logits[t % classes] = t == 5 ? NAN : static_cast<float>(t);
    if (t == 6) logits[5 % classes] = 0.0f;
    const StreamDecision answer = decide_next(*decider, logits, {}, stream, digits);
    if (!answer.sequence) continue;
    if (!(answer.sequence->probability > 0.0 && answer.sequence->probability < 1.0 + 1e-6)) {
      std::abort();
    }
    if (answer.sequence->lasted_windows > t + 1) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const graupel::Result<Block> block = parse_block(text);
  if (!block.ok()) return 0;
  const graupel::Result<std::string> written = format_block(*block);
  if (!written.ok()) return 0;  // a text that is not UTF-8 is written otherwise than it was read
  if (!(parse_block(*written).value() == *block)) std::abort();
  follow(*block);
  return 0;
}
