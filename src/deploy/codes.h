// What the FSQ of a bundle does: which codes occur, what INT8 changes, what rounding costs.
//
// Idea: the float halves and the plan answer the same windows. The INT8 tensor in front of the FSQ
// has 256 values, so its thresholds are found by evaluating the bundle's own host part on all of
// them. Test: calibrate_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "decide/block.h"
#include "deploy/json.h"
#include "deploy/windows.h"
#include "report/report.h"

namespace graupel::deploy {

struct CodeDimension {
  int64_t levels = 0;
  std::vector<int64_t> usage;  // float codes per level
  double entropy_bits = 0.0;   // of the levels; at most log2(levels)
  int64_t dead_levels = 0;     // that no window uses
  int64_t flips = 0;           // codes whose digit INT8 changes
};

// How far float values lie from their nearest threshold, in steps of the INT8 tensor.
struct MarginBin {
  double low_steps = 0.0, high_steps = 0.0;  // the last bin is open
  int64_t digits = 0, flipped = 0;
};

struct HostFormulaRow {
  std::string formula;
  std::string input;  // what it is given: "z", "z with its shift", or "b", bounded already
  double differing_percent = 0.0;
};

struct Codes {
  decide::Fsq fsq;
  std::vector<std::string> dead_dimensions;  // warnings
  int64_t codes = 0;                         // windows times positions
  std::vector<CodeDimension> dimensions;
  double possible = 0.0;  // product of the levels
  int64_t used = 0;       // distinct float codes
  double entropy_bits = 0.0, perplexity = 0.0;
  double flip_percent = 0.0;  // codes that INT8 changes
  std::vector<MarginBin> margins;
  std::string int8_note;  // why there are no integer thresholds; empty if there are
  // Of 256 values per dimension: equal to the host part's own digits, and beyond its bound (there
  // the host part would give a digit that does not exist, and the thresholds the nearest one).
  int64_t int8_values_proven = 0, int8_values_beyond = 0;
  int64_t int8_differing = 0;  // codes of the windows where thresholds and plan differ: 0
  std::optional<double> accuracy_float, accuracy_int8, accuracy_unrounded;  // percent
  std::vector<HostFormulaRow> host_formulas;
};

// nullopt if the network has no FSQ that graupel knows. `bundle` is compiled.
Result<std::optional<Codes>> measure_codes(const bundle::Bundle& bundle, const Windows& windows);

// Codes a hand-written host computed for the same windows: indices [N] or digits [N, D]. How many
// differ, and which known formula gives exactly them.
struct HostCodes {
  double differing_percent = 0.0;
  std::string explanation;  // empty: no known formula does
};
Result<HostCodes> compare_host_codes(const bundle::Bundle& bundle, const Windows& windows,
                                     const Tensor& host);

Json codes_json(const Codes& codes);
std::string codes_text(const Codes& codes);  // for the terminal
// Bars and pictures for a report.
void add_codes(report::Report& report, const Codes& codes);

}  // namespace graupel::deploy
