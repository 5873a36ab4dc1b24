// What both questions about codes look at: the FSQ of a bundle and its values on windows.
// Test: calibrate_test.cc.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cut/fsq.h"
#include "deploy/codes.h"
#include "deploy/halves.h"

namespace graupel::deploy {

struct CodeEvidence {
  cut::Fsq fsq;
  decide::FsqVariant variant = decide::FsqVariant::kLucidrains2024;
  Halves halves;                        // float
  std::map<std::string, Tensor> exact;  // outputs of the halves, and z and b where they exist
  size_t dimensions = 0;
  size_t inner = 1;  // positions behind the FSQ axis
  size_t codes = 0;  // windows times positions

  // The element of dimension d of code c.
  size_t at(size_t c, size_t d) const { return (c / inner * dimensions + d) * inner + c % inner; }
};

// nullopt if the bundle's parse report names no FSQ, or the digits are not among its outputs.
Result<std::optional<CodeEvidence>> code_evidence(const bundle::Bundle& bundle,
                                                  const Tensor& model_windows);

// Where the digit of dimension d goes up, on z (before the bound) or b (before the rounding).
std::vector<double> thresholds_on(const CodeEvidence& evidence, size_t d, bool bounded);

}  // namespace graupel::deploy
