// What to expect of a network on a Hailo-8 or 8L before there is one: contexts, rate, latency.
//
// Idea: the vendor publishes the rates of some 140 networks. tools/fit_estimate fits a few
// coefficients to them and scores intervals on families of networks it did not see
// (docs/hailo.md has the score); here the same arithmetic is done for a graph. Nothing here ran on
// a device. Reference: the public tables of hailo_model_zoo (coefficients.h names their release).
// Test: estimate_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace graupel::estimate {

enum class Device { kHailo8, kHailo8L };
std::string_view to_string(Device device);  // "hailo8", "hailo8l"
Result<Device> parse_device(std::string_view name);

// The slot. The published rates are those of four lanes of generation 3 (inferred from them).
struct Link {
  int generation = 2;  // 1 to 3; a Raspberry Pi 5 runs 2 unless it is told to run 3
  int lanes = 1;       // 1, 2 or 4
};
double link_bytes_per_s(Link link);  // what weights were seen to arrive with, scaled

struct Network {
  int64_t multiply_adds = 0;
  int64_t weights = 0;  // numbers
  int64_t input_bytes = 0, output_bytes = 0;
  int64_t layers = 0;      // after the vendor's decomposition of normalisations and softmax
  bool attention = false;  // products of two activations, or layer normalisation
  bool depthwise = false;  // a quarter or more of its convolutions have one channel per group
};
// Of the part that runs on the device, static shapes.
Network describe(const ir::Graph& device);

struct Interval {
  double low = 0, middle = 0, high = 0;  // p10, p50, p90
};

struct Estimate {
  double single_chance = 0;  // that it runs in one context
  // Shares of what the device has. Compute is that of running at the middle of `fps`.
  double memory = 0, control = 0, compute = 0;
  std::string reason;             // which of the three decides, in words
  Interval fps;                   // windows per second, batch 1
  Interval latency_ms;            // of one window
  std::vector<std::string> edge;  // where the network lies outside what was fitted; empty: nowhere
};
Estimate estimate(const Network& network, Device device, Link link);

}  // namespace graupel::estimate
