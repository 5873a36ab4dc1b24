// The decision block `decide.json`: everything that turns logits into a decision, fitted once and
// carried by the bundle.
//
// Idea: plain values, one struct per part; a part that was not fitted is absent. The reader is
// bounded and refuses versions, variants and keys it does not know, so that a number is never
// used under another meaning. Same block, same bytes.
// Format and formulas: docs/decisions.md. Test: block_test.cc.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace graupel::decide {

inline constexpr std::string_view kBlockMember = "decide.json";
inline constexpr int kBlockVersion = 1;
inline constexpr size_t kMaxBlockBytes = size_t{16} << 20;
inline constexpr int kMaxBlockDepth = 32;
inline constexpr int64_t kMaxClasses = 4096;
inline constexpr size_t kMaxFsqDimensions = 64;
inline constexpr int64_t kMaxFsqLevels = 256;
inline constexpr size_t kMaxGroups = 65536;
inline constexpr size_t kMaxStoredScores = 4096;
inline constexpr size_t kMaxDriftBins = 1024;

// ---- FSQ ----

// The published ways to bound a value before it is rounded; formulas in fsq.h.
enum class FsqVariant {
  kLucidrains2024,
  kLucidrains2023,
  kPaper2023,
  kSymmetric,
  kHardClamp,
  kSigmoid,
  kIfsq,
};
// Which dimension of a code index counts in ones: the first (vector-quantize-pytorch) or the last.
enum class DigitOrder { kFirstFastest, kLastFastest };

// Thresholds on the INT8 tensor in front of the FSQ: the digit of dimension d is the number of
// entries of thresholds[d] that are <= the INT8 value (int8 -128..127, uint8 0..255).
struct Int8Thresholds {
  std::string tensor;  // name of the INT8 tensor's float value in the graph
  bool is_signed = true;
  double scale = 1.0;
  int32_t zero_point = 0;
  std::vector<std::vector<int32_t>> thresholds;

  bool operator==(const Int8Thresholds&) const = default;
};

struct Fsq {
  FsqVariant variant = FsqVariant::kLucidrains2024;
  std::vector<int64_t> levels;
  DigitOrder order = DigitOrder::kFirstFastest;
  bool shift_folded = false;  // z already holds the variant's shift
  std::optional<Int8Thresholds> int8;

  bool operator==(const Fsq&) const = default;
};

// ---- confidence ----

enum class ConfidenceMethod { kNone, kTemperature, kVector, kPerGroup };

struct GroupTemperature {
  int64_t group = 0;
  double temperature = 1.0;

  bool operator==(const GroupTemperature&) const = default;
};

// probabilities = softmax(scale_c * logit_c + bias_c); for a temperature, scale = 1 / T, bias = 0.
struct Confidence {
  ConfidenceMethod method = ConfidenceMethod::kNone;
  double temperature = 1.0;  // kTemperature, and kPerGroup for groups that are not listed
  double temperature_low = 1.0, temperature_high = 1.0;  // 95 % interval
  std::vector<double> scale, bias;                       // kVector: one per class
  std::vector<GroupTemperature> groups;                  // kPerGroup, ascending by group

  bool operator==(const Confidence&) const = default;
};

// ---- conformal sets ----

enum class ConformalMethod { kLac, kAps, kRaps, kSaps };
enum class Condition { kMarginal, kClass, kGroup };  // over what the threshold is taken
enum class EmptySets { kKeep, kTopClass };

inline constexpr double kNoThreshold = std::numeric_limits<double>::infinity();

// A class belongs to the set if its score is at most the threshold; kNoThreshold takes every class.
struct Conformal {
  ConformalMethod method = ConformalMethod::kLac;
  double alpha = 0.1;
  Condition condition = Condition::kMarginal;
  bool randomised = false;  // APS, RAPS and SAPS: one uniform number per window
  EmptySets empty_sets = EmptySets::kTopClass;
  double raps_lambda = 0.01;
  int64_t raps_free_ranks = 5;
  double saps_weight = 0.2;
  double threshold = kNoThreshold;       // marginal; for kGroup: groups that are not listed
  int64_t calibration_count = 0;         // windows behind it
  std::vector<double> class_thresholds;  // kClass
  std::vector<int64_t> groups;           // kGroup, ascending
  std::vector<double> group_thresholds;  // kGroup, as `groups`

  bool operator==(const Conformal&) const = default;
};

// ---- streams ----

// Adaptive conformal inference: the sorted calibration scores answer any quantile. Where there
// were more than kMaxStoredScores, every k-th is kept, rounded up, so quantiles err to larger sets.
struct Adaptive {
  double step = 0.005;  // gamma
  int64_t calibration_count = 0;
  std::vector<double> scores;  // ascending

  bool operator==(const Adaptive&) const = default;
};

// Exchangeability test on the uncertainty 1 - (largest probability): calibration windows per bin.
struct Drift {
  std::vector<double> edges;     // ascending; bin b holds edges[b-1] <= x < edges[b]
  std::vector<int64_t> counts;   // edges.size() + 1
  double alarm = 1000.0;         // wealth of the martingale at which the alarm is raised
  double run_length = 100000.0;  // windows between false alarms of the restarting form, at least

  bool operator==(const Drift&) const = default;
};

// ---- the block ----

struct Provenance {
  std::string data;         // what the windows were, without paths
  std::string data_sha256;  // of the windows' file
  std::string labels_sha256;
  std::string plan_sha256;  // of the cpu.plan whose logits were used
  int64_t fit_windows = 0, conformal_windows = 0, judge_windows = 0;
  std::vector<int64_t> fit_groups, conformal_groups, judge_groups;  // empty: split by window
  uint64_t seed = 0;

  bool operator==(const Provenance&) const = default;
};

// A number that justified the block: measured on windows it was not fitted on.
struct Measured {
  std::string id;
  double value = 0.0;

  bool operator==(const Measured&) const = default;
};

struct Block {
  int64_t classes = 0;
  std::optional<Fsq> fsq;
  Confidence confidence;
  std::optional<Conformal> conformal;
  std::optional<Adaptive> adaptive;
  std::optional<Drift> drift;
  // The section "hsmm" as JSON text, an object; empty if there is none. What it holds is judged by
  // who reads it.
  std::string hsmm;
  Provenance provenance;
  std::vector<Measured> measured;

  bool operator==(const Block&) const = default;
};

// Errors: kUnsupported for a newer version or an unknown name of a method, kCorrupt naming the key
// for anything else that is not such a block. Memory: a small multiple of the text, which is at
// most kMaxBlockBytes.
Result<Block> parse_block(std::string_view text);

// Error kInvalidInput naming the field for a block that parse_block would refuse.
Result<std::string> format_block(const Block& block);

std::string_view to_string(FsqVariant variant);  // "lucidrains-2024", ...; as cut::Fsq::variant
std::string_view to_string(DigitOrder order);    // "first-fastest", "last-fastest"
std::string_view to_string(ConfidenceMethod method);
std::string_view to_string(ConformalMethod method);  // "lac", "aps", "raps", "saps"
std::string_view to_string(Condition condition);     // "marginal", "class", "group"
std::string_view to_string(EmptySets empty_sets);    // "keep", "top-class"
std::optional<FsqVariant> parse_fsq_variant(std::string_view name);
std::optional<ConformalMethod> parse_conformal_method(std::string_view name);
std::optional<Condition> parse_condition(std::string_view name);

}  // namespace graupel::decide
