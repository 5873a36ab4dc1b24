// The networks that have a name, and the constants of the FSQ variants. See config.h.
//
// Reference: Mentzer et al. 2023 (arXiv 2309.15505), vector-quantize-pytorch, arXiv 2411.19842
// (symmetric), arXiv 2601.17124 (ifsq). Test: config_test.cc; the export's test has cut::find_fsq
// recognise every variant.
#include <fmt/format.h>

#include <cmath>

#include "train/config.h"

namespace graupel::train {
namespace {

constexpr double kEpsilon = 1e-3;

// Rounds tanh(z + shift) * half - offset, half = (L - 1)(1 + sign eps) / 2.
FsqConstants centered(const std::vector<int64_t>& levels, double sign, double (*inverse)(double)) {
  FsqConstants constants;
  for (const int64_t count : levels) {
    const double half = static_cast<double>(count - 1) * (1.0 + sign * kEpsilon) / 2.0;
    const double offset = count % 2 == 0 ? 0.5 : 0.0;
    constants.factor.push_back(half);
    constants.term.push_back(-offset);
    constants.shift.push_back(inverse(offset / half));
    constants.center.push_back(0.0);
    constants.half_width.push_back(static_cast<double>(count / 2));
  }
  return constants;
}

// Floors a digit from 0; the code is symmetric about 0.
FsqConstants counted(const std::vector<int64_t>& levels, double spread, double middle) {
  FsqConstants constants;
  constants.floors = true;
  for (const int64_t count : levels) {
    const double top = static_cast<double>(count - 1);
    constants.factor.push_back(top * spread);
    constants.term.push_back(top * middle + 0.5);
    constants.shift.push_back(0.0);
    constants.center.push_back(top / 2.0);
    constants.half_width.push_back(top / 2.0);
  }
  return constants;
}

double area_tangent(double x) { return std::atanh(x); }
double tangent(double x) { return std::tan(x); }
double identity(double x) { return x; }

}  // namespace

Result<Network> named_network(std::string_view name) {
  Network network;
  if (name == "cross") {
    // The row kernel lets the sensors meet once the first layers have seen each alone.
    network.layers = {{48, {1, 7}, {1, 2}, {1, 1}, false},
                      {64, {1, 5}, {1, 2}, {1, 1}, false},
                      {64, {2, 1}, {1, 1}, {1, 1}, false},
                      {64, {1, 5}, {1, 2}, {1, 1}, false}};
  } else if (name == "plain") {
    network.layers = {{32, {1, 7}, {1, 1}, {1, 2}, false},
                      {64, {1, 5}, {1, 1}, {1, 2}, false},
                      {128, {1, 5}, {1, 1}, {1, 1}, false}};
  } else if (name == "wide") {
    network.layers = {{96, {1, 7}, {1, 2}, {1, 1}, false},
                      {128, {1, 5}, {1, 2}, {1, 1}, false},
                      {160, {2, 1}, {1, 1}, {1, 1}, false},
                      {160, {1, 5}, {1, 2}, {1, 1}, false}};
    network.hidden = 128;
  } else if (name == "separable") {
    network.layers = {{48, {1, 7}, {1, 2}, {1, 1}, false},
                      {96, {1, 5}, {1, 2}, {1, 1}, true},
                      {96, {2, 1}, {1, 1}, {1, 1}, false},
                      {128, {1, 5}, {1, 2}, {1, 1}, true}};
  } else {
    return invalid_input(
        "", fmt::format("there is no network '{}'; expected one of {}", name, kNetworkNames));
  }
  return network;
}

Config default_config() {
  Config config;
  if (Result<Network> network = named_network("cross"); network.ok()) config.network = *network;
  return config;
}

Result<FsqConstants> fsq_constants(std::string_view variant, const std::vector<int64_t>& levels) {
  for (const int64_t count : levels) {
    if (count < 2)
      return invalid_input("", fmt::format("{} FSQ levels; expected 2 or more", count));
  }
  if (variant == "lucidrains-2024") return centered(levels, +1.0, area_tangent);
  if (variant == "lucidrains-2023") return centered(levels, -1.0, area_tangent);
  if (variant == "paper-2023") return centered(levels, -1.0, tangent);
  if (variant == "hard-clamp") {
    FsqConstants constants = centered(levels, +1.0, identity);
    constants.bounding = Bounding::kClamp;
    return constants;
  }
  if (variant == "symmetric") return counted(levels, 0.5, 0.5);
  if (variant == "ifsq") {
    FsqConstants constants = counted(levels, 1.0, 0.0);
    constants.bounding = Bounding::kSigmoid;
    constants.scale = 1.6;
    return constants;
  }
  return invalid_input("", fmt::format("there is no FSQ variant '{}'; expected lucidrains-2024, "
                                       "lucidrains-2023, paper-2023, hard-clamp, symmetric or ifsq",
                                       variant));
}

}  // namespace graupel::train
