// An estimate shown. See estimate.h. Test: tests/cli/cli_test.cc.
#include "deploy/estimate.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

Json interval_json(const estimate::Interval& interval) {
  return {{"p10", interval.low}, {"p50", interval.middle}, {"p90", interval.high}};
}

bool is_published_link(estimate::Link link) { return link.generation == 3 && link.lanes == 4; }

}  // namespace

Json estimate_json(const estimate::Network& network, estimate::Device device, estimate::Link link,
                   const estimate::Estimate& result) {
  return {{"estimate", true},
          {"device", estimate::to_string(device)},
          {"multiply_adds", network.multiply_adds},
          {"weights", network.weights},
          {"layers", network.layers},
          {"input_bytes", network.input_bytes},
          {"output_bytes", network.output_bytes},
          {"attention", network.attention},
          {"depthwise", network.depthwise},
          {"pcie_generation", link.generation},
          {"pcie_lanes", link.lanes},
          {"contexts", result.single_chance >= 0.5 ? "single" : "several"},
          {"single_context_chance", result.single_chance},
          {"reason", result.reason},
          {"memory", result.memory},
          {"control", result.control},
          {"compute_at_p50", result.compute},
          {"fps", interval_json(result.fps)},
          {"latency_ms", interval_json(result.latency_ms)},
          {"outside_fitted_range", result.edge}};
}

std::string estimate_text(const estimate::Network& network, estimate::Device device,
                          estimate::Link link, const estimate::Estimate& result) {
  std::string text = fmt::format("ESTIMATE for {}, PCIe generation {} x{}; nothing was run\n",
                                 estimate::to_string(device), link.generation, link.lanes);
  text +=
      fmt::format("network   {:.4g} M multiply-adds, {:.4g} M weights, {} layers{}{}\n",
                  1e-6 * static_cast<double>(network.multiply_adds),
                  1e-6 * static_cast<double>(network.weights), network.layers,
                  network.attention ? ", attention" : "", network.depthwise ? ", depthwise" : "");
  text += fmt::format("contexts  {} (one context: {:.0f}%): {}\n",
                      result.single_chance >= 0.5 ? "one" : "several", 100.0 * result.single_chance,
                      result.reason);
  text +=
      fmt::format("share     memory {:.1f}%, control {:.0f}%, compute {:.2g}% at the middle rate\n",
                  100.0 * result.memory, 100.0 * result.control, 100.0 * result.compute);
  text += fmt::format("fps       {:.3g} (p10 {:.3g}, p90 {:.3g}), batch 1\n", result.fps.middle,
                      result.fps.low, result.fps.high);
  text += fmt::format("latency   {:.3g} ms (p10 {:.3g}, p90 {:.3g})\n", result.latency_ms.middle,
                      result.latency_ms.low, result.latency_ms.high);
  for (const std::string& edge : result.edge) text += fmt::format("outside   {}\n", edge);
  if (!result.edge.empty()) {
    text += "          what is shown is that of the nearest network of the table's size\n";
  }
  text +=
      "Fitted on the vendor's published rates, which hold for batch 1 and, as far as can be seen, "
      "PCIe\ngeneration 3 x4. ";
  if (!is_published_link(link)) text += "Other links are computed, not fitted. ";
  return text +
         "Latency is the rate's, by two published pairs\nof rate and latency. Only the device "
         "tells.\n";
}

}  // namespace graupel::deploy
