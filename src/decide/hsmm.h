// Explicit-duration hidden semi-Markov model: which behaviour a recording is in, and for how long.
//
// Idea: a recording is a chain of segments. A segment has a state (a class of the network), a
// length in windows drawn from that state's own law, and one emission per window; the next
// segment has another state. This file is the model as it is stored: plain values and their
// section of decide.json. hsmm_tables.h makes the tables all algorithms read; hsmm_offline.h
// decodes whole recordings, hsmm_filter.h and hsmm_survivors.h one window at a time.
// Reference: S.-Z. Yu, "Hidden semi-Markov models", Artificial Intelligence 174 (2010); formulas
// and limits in docs/hsmm.md. Test: hsmm_model_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "decide/block.h"

namespace graupel::decide {

inline constexpr int kHsmmVersion = 1;
inline constexpr size_t kMaxStates = 256;
inline constexpr size_t kMaxDuration = 4096;  // windows; longer segments are the tail's
inline constexpr size_t kMaxStateDurations = size_t{1} << 19;  // states x maximum duration
inline constexpr size_t kMaxContexts = 64;

// Length d = 1, 2, ... of a segment in windows. Parameters:
//   kPoisson           mean              d - 1 ~ Poisson(mean)
//   kNegativeBinomial  size, mean        d - 1 ~ NB(size, mean); size 1 is the geometric law
//   kGaussian          mean, deviation   x ~ N, conditioned on x > 1/2, rounded
//   kLogNormal         mu, sigma         log x ~ N(mu, sigma), likewise
//   kGamma             shape, scale      x ~ Gamma, likewise
//   kTable             P(1), P(2), ...   sums to 1
enum class DurationFamily {
  kPoisson,
  kNegativeBinomial,
  kGaussian,
  kLogNormal,
  kGamma,
  kTable,
};
inline constexpr size_t kDurationFamilies = 6;

struct Duration {
  DurationFamily family = DurationFamily::kNegativeBinomial;
  std::vector<double> parameters = {1.0, 1.0};

  bool operator==(const Duration&) const = default;
};

// What speaks for a state in a window: calibrated probabilities divided by the prior, the FSQ
// digits, or both (which counts evidence twice where the logits are a function of the digits).
enum class EmissionUse { kPosteriors, kCodes, kBoth };

// log b(s) = weight (log p(s | window) - log prior(s)) + code_weight sum over d log digit(s, d),
// each part where it is used; then the largest becomes 0 and none falls below kLeastEmission.
struct Emission {
  EmissionUse use = EmissionUse::kPosteriors;
  double weight = 1.0;
  double code_weight = 1.0;
  std::vector<double> prior;                // one per state, sums to 1
  std::vector<int64_t> levels;              // of the FSQ digits; empty without codes
  std::vector<std::vector<double>> digits;  // per state: level probabilities, digit by digit

  bool operator==(const Emission&) const = default;
};
inline constexpr double kLeastProbability = 1e-6;  // of a class in one window
inline constexpr double kLeastEmission = -40.0;    // log; one window does not rule a state out

// What a recording's first segment is: one that began before it (left-censored), or one that
// begins with it.
enum class Begin { kInside, kOnset };

struct Hsmm {
  int64_t window_samples = 0;  // of the windows it was fitted on; 0: not known
  int64_t hop_samples = 0;     // from one window to the next
  double rate_hz = 0.0;
  int64_t maximum_duration = 0;  // D, windows: the law is explicit below it, geometric from it on
  Begin begin = Begin::kInside;
  std::vector<double> initial;  // one per state
  // One matrix per context, states x states row-major, rows sum to 1, diagonal 0.
  std::vector<std::vector<double>> transitions;
  std::vector<Duration> durations;  // one per state
  Emission emission;
  std::vector<std::string> notes;  // what the fit has to say, e.g. about rare classes
  std::vector<Measured> measured;  // numbers that justified it

  size_t states() const { return durations.size(); }
  bool operator==(const Hsmm&) const = default;
};

// Errors kInvalidInput naming the field: sizes that differ or exceed the limits, probabilities
// that are not, parameters outside their family, fewer than two states.
Result<void> check_hsmm(const Hsmm& model);

// The section "hsmm" of decide.json (Block::hsmm). Errors: kUnsupported for a newer version or an
// unknown family, kCorrupt naming the key for anything else that is not such a section.
Result<Hsmm> parse_hsmm(std::string_view json);
// Error kInvalidInput: a model that check_hsmm refuses.
Result<std::string> format_hsmm(const Hsmm& model);

std::string_view to_string(DurationFamily family);  // "poisson", "negative-binomial", ...
std::optional<DurationFamily> parse_duration_family(std::string_view name);
std::string_view to_string(EmissionUse use);  // "posteriors", "codes", "both"
std::optional<EmissionUse> parse_emission_use(std::string_view name);

}  // namespace graupel::decide
