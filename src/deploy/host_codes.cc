// Codes of a hand-written host, compared and explained. See codes.h.
//
// Idea: every known bound and both formulas found in the wild are applied to z and to b, in both
// digit orders; the first that gives exactly the host's codes is what the host computes.
// Test: calibrate_test.cc.
#include <fmt/format.h>

#include <functional>

#include "decide/fsq.h"
#include "deploy/code_evidence.h"

namespace graupel::deploy {
namespace {

// Digit of dimension d for the real value it is given.
using Formula = std::function<int64_t(size_t d, float value)>;
struct Candidate {
  std::string name;
  Formula digit;
};

std::vector<Candidate> candidates(const CodeEvidence& evidence) {
  std::vector<Candidate> list;
  const std::vector<int64_t>& levels = evidence.fsq.levels;
  for (const decide::FsqVariant variant :
       {decide::FsqVariant::kLucidrains2024, decide::FsqVariant::kLucidrains2023,
        decide::FsqVariant::kPaper2023, decide::FsqVariant::kSymmetric,
        decide::FsqVariant::kHardClamp, decide::FsqVariant::kSigmoid, decide::FsqVariant::kIfsq}) {
    list.push_back({std::string(decide::to_string(variant)), [&levels, variant](size_t d, float x) {
                      return decide::digit_by_definition(variant, levels[d], x);
                    }});
  }
  for (const decide::HostFormula formula :
       {decide::HostFormula::kGrid, decide::HostFormula::kLevels}) {
    list.push_back({std::string(decide::to_string(formula)), [&levels, formula](size_t d, float x) {
                      return decide::host_formula_digit(formula, levels[d], x);
                    }});
  }
  return list;
}

// Does the host's tensor hold exactly these digits (as digits, or as indices in `order`)?
bool equals(const CodeEvidence& evidence, std::span<const int64_t> digits,
            const std::vector<int64_t>& host, bool indices, decide::DigitOrder order) {
  std::vector<int64_t> code(evidence.dimensions);
  for (size_t c = 0; c < evidence.codes; ++c) {
    for (size_t d = 0; d < evidence.dimensions; ++d) {
      const int64_t digit = digits[evidence.at(c, d)];
      if (!indices && host[c * evidence.dimensions + d] != digit) return false;
      code[d] = digit;
    }
    if (indices &&
        static_cast<uint64_t>(host[c]) != decide::code_index(code, evidence.fsq.levels, order)) {
      return false;
    }
  }
  return true;
}

double differing_percent(const CodeEvidence& evidence, std::span<const int64_t> digits,
                         const std::vector<int64_t>& host, bool indices) {
  int64_t differing = 0;
  std::vector<int64_t> code(evidence.dimensions);
  for (size_t c = 0; c < evidence.codes; ++c) {
    bool same = true;
    for (size_t d = 0; d < evidence.dimensions; ++d) {
      code[d] = digits[evidence.at(c, d)];
      same = same && (indices || host[c * evidence.dimensions + d] == code[d]);
    }
    const uint64_t index =
        decide::code_index(code, evidence.fsq.levels, decide::DigitOrder::kFirstFastest);
    same = same && (!indices || static_cast<uint64_t>(host[c]) == index);
    differing += same ? 0 : 1;
  }
  return 100.0 * static_cast<double>(differing) / static_cast<double>(evidence.codes);
}

std::string explain(const CodeEvidence& evidence, const std::vector<int64_t>& host, bool indices) {
  const std::vector<int64_t> own = evidence.exact.at(cut::kFsqDigitsOutput).to_int64s();
  if (indices && equals(evidence, own, host, true, decide::DigitOrder::kLastFastest)) {
    return "the graph's digits with the last dimension counted in ones; graupel counts the first";
  }
  for (const bool bounded : {false, true}) {
    const auto values =
        evidence.exact.find(bounded ? evidence.fsq.bounded : evidence.fsq.unbounded);
    if (values == evidence.exact.end() || values->second.size() != own.size()) continue;
    const std::span<const float> real = values->second.data<float>();
    for (const Candidate& candidate : candidates(evidence)) {
      std::vector<int64_t> digits(real.size());
      for (size_t c = 0; c < evidence.codes; ++c) {
        for (size_t d = 0; d < evidence.dimensions; ++d) {
          digits[evidence.at(c, d)] = candidate.digit(d, real[evidence.at(c, d)]);
        }
      }
      for (const decide::DigitOrder order :
           {decide::DigitOrder::kFirstFastest, decide::DigitOrder::kLastFastest}) {
        if (!equals(evidence, digits, host, indices, order)) continue;
        return fmt::format(
            "{} of the value {} its bound{}", candidate.name, bounded ? "behind" : "in front of",
            indices && order == decide::DigitOrder::kLastFastest ? ", last dimension in ones" : "");
      }
    }
  }
  return "";
}

}  // namespace

Result<HostCodes> compare_host_codes(const bundle::Bundle& bundle, const Windows& windows,
                                     const Tensor& host) {
  TRY_ASSIGN(const std::optional<CodeEvidence> evidence, code_evidence(bundle, windows.model));
  if (!evidence) return unsupported("--host-codes", "has nothing to compare: no FSQ in the bundle");
  const bool indices = host.size() == evidence->codes;
  if (!is_integer(host.dtype()) ||
      (!indices && host.size() != evidence->codes * evidence->dimensions)) {
    return invalid_input("--host-codes",
                         fmt::format("is {} of shape {}, expected integers: {} indices or {} x {} "
                                     "digits",
                                     to_string(host.dtype()), to_string(host.shape()),
                                     evidence->codes, evidence->codes, evidence->dimensions));
  }
  const std::vector<int64_t> values = host.to_int64s();
  const std::vector<int64_t> own = evidence->exact.at(cut::kFsqDigitsOutput).to_int64s();
  HostCodes result;
  result.differing_percent = differing_percent(*evidence, own, values, indices);
  if (result.differing_percent > 0.0) result.explanation = explain(*evidence, values, indices);
  return result;
}

}  // namespace graupel::deploy
