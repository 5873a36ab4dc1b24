// State and elapsed time of a recording as it happens. See sequence.h. Test: sequence_test.cc.
#include "decide/sequence.h"

#include <algorithm>
#include <cmath>

namespace graupel::decide {
namespace {

bool digits_fit(const Emission& emission, std::span<const int64_t> digits) {
  if (digits.size() != emission.levels.size()) return false;
  for (size_t d = 0; d < digits.size(); ++d) {
    if (digits[d] < 0 || digits[d] >= emission.levels[d]) return false;
  }
  return true;
}

size_t largest_of(std::span<const double> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

bool is_other_hop(const Hsmm& model, int64_t hop_samples) {
  return hop_samples > 0 && model.hop_samples > 0 && hop_samples != model.hop_samples;
}

// Mean of the windows still to come, the present one included, n windows into a segment:
// sum over r >= n of P(length >= r), divided by P(length >= n).
double remaining_at(const DurationTable& law, size_t n) {
  return std::exp(log_remaining_at(law, n) + law.log_mean - log_survivor_at(law, n));
}

SequenceAnswer take_step(Sequence& sequence, bool evidence, uint32_t context) {
  HsmmFilter& filter = sequence.filter;
  SequenceAnswer answer;
  answer.window = filter.windows;
  answer.evidence = evidence;
  context = std::min(context, static_cast<uint32_t>(filter.tables->contexts - 1));
  step(filter, sequence.evidence, context);
  answer.probabilities = filter.probability;
  answer.state = largest_of(filter.probability);
  answer.probability = filter.probability[answer.state];
  const Elapsed elapsed = elapsed_in(filter, answer.state);
  answer.lasted_windows = elapsed.windows;
  answer.lasted_probability = elapsed.probability;
  answer.at_least = elapsed.at_least;
  answer.lasted_s = static_cast<double>(elapsed.windows) * sequence.shared->hop_s();
  answer.end_probability = std::min(
      1.0, std::exp(filter.sums.log_exit[answer.state] - filter.sums.log_alive[answer.state]));
  if (!elapsed.at_least) {
    answer.remaining_windows =
        remaining_at(filter.tables->durations[answer.state], static_cast<size_t>(elapsed.windows));
  }
  if (filter.lag > 0 && filter.windows > filter.lag) {
    const size_t state = largest_of(filter.lagged);
    answer.lagged = {filter.windows - 1 - filter.lag, state, filter.lagged[state]};
  }
  if (sequence.survivors) {
    step(*sequence.survivors, sequence.evidence, context, filter.probability);
    answer.committed = sequence.survivors->committed;
  }
  return answer;
}

}  // namespace

Result<std::shared_ptr<const SequenceModel>> make_sequence_model(Hsmm model, int64_t hop_samples,
                                                                 double rate_hz) {
  if (hop_samples < 0) {
    return invalid_input("hop", "is " + std::to_string(hop_samples) +
                                    " samples; give at least 1, or 0 for the HSMM's own");
  }
  if (model.rate_hz > 0.0 && rate_hz > 0.0 && model.rate_hz != rate_hz) {
    return invalid_input("rate", "is " + std::to_string(rate_hz) +
                                     " Hz, the HSMM was fitted on windows of " +
                                     std::to_string(model.rate_hz) + " Hz");
  }
  SequenceModel made;
  if (is_other_hop(model, hop_samples)) {
    TRY_ASSIGN(model, rescaled(model, static_cast<double>(hop_samples) /
                                          static_cast<double>(model.hop_samples)));
    made.rescaled = true;
  }
  if (hop_samples > 0) model.hop_samples = hop_samples;
  if (rate_hz > 0.0) model.rate_hz = rate_hz;
  TRY_ASSIGN(HsmmTables tables, make_hsmm_tables(model));
  made.tables = std::make_shared<const HsmmTables>(std::move(tables));
  made.model = std::move(model);
  return std::make_shared<const SequenceModel>(std::move(made));
}

std::optional<std::string> rescaling_note(const Hsmm& fitted, int64_t hop_samples) {
  if (!is_other_hop(fitted, hop_samples)) return std::nullopt;
  return "the HSMM was fitted at a hop of " + std::to_string(fitted.hop_samples) +
         " samples; its durations and the weight of a window are rescaled to " +
         std::to_string(hop_samples);
}

bool window_evidence(const Emission& emission, std::span<const double> probabilities, bool finite,
                     std::span<const int64_t> digits, std::span<double> out) {
  const bool reads_digits = emission.use != EmissionUse::kPosteriors;
  const bool reads_probabilities = emission.use != EmissionUse::kCodes;
  if ((reads_probabilities && !finite) || (reads_digits && !digits_fit(emission, digits))) {
    std::fill(out.begin(), out.end(), 0.0);
    return false;
  }
  log_emission(emission, probabilities, reads_digits ? digits : std::span<const int64_t>(), out);
  return true;
}

Result<Sequence> start_sequence(std::shared_ptr<const SequenceModel> shared,
                                const SequenceOptions& options) {
  const bool other_hop =
      options.hop_samples != 0 && options.hop_samples != shared->model.hop_samples;
  const bool other_rate = options.rate_hz > 0.0 && options.rate_hz != shared->model.rate_hz;
  if (other_hop || other_rate) {
    TRY_ASSIGN(shared, make_sequence_model(shared->model, options.hop_samples, options.rate_hz));
  }
  if (shared->tables->contexts > 1 && !options.contexts) {
    return invalid_input("HSMM", "has transitions for " + std::to_string(shared->tables->contexts) +
                                     " contexts, and the context of the windows is not known here; "
                                     "use graupel decode --contexts");
  }
  Sequence sequence;
  sequence.shared = std::move(shared);
  TRY_ASSIGN(sequence.filter, make_filter(sequence.shared->tables, options.lag));
  if (options.commit) {
    TRY_ASSIGN(sequence.survivors, make_survivors(sequence.shared->tables));
  }
  sequence.evidence.assign(sequence.shared->tables->states, 0.0);
  return sequence;
}

void restart(Sequence& sequence) {
  restart(sequence.filter);
  if (sequence.survivors) restart(*sequence.survivors);
}

SequenceAnswer step(Sequence& sequence, std::span<const double> probabilities, bool finite,
                    std::span<const int64_t> digits, uint32_t context) {
  const bool evidence = window_evidence(sequence.shared->model.emission, probabilities, finite,
                                        digits, sequence.evidence);
  return take_step(sequence, evidence, context);
}

SequenceAnswer step_without_window(Sequence& sequence, uint32_t context) {
  std::fill(sequence.evidence.begin(), sequence.evidence.end(), 0.0);
  return take_step(sequence, false, context);
}

std::vector<Segment> finish(const Sequence& sequence) {
  if (!sequence.survivors || sequence.survivors->windows == 0) return {};
  return finish(*sequence.survivors);
}

}  // namespace graupel::decide
