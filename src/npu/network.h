// A bundle's network, answered by the device or by the CPU.
//
// Idea: beside cpu.plan a bundle holds what runs in front of the device (before.plan: raw window to
// the tensors that cross) and behind it (host.plan), and device.json names the HEF's streams. Both
// ways end in the outputs of cpu.plan, in its order, so nobody downstream sees which it was but by
// the label. Engines are lent from a pool, so any thread may ask.
// Test: network_test.cc.
#pragma once

#include <string>

#include "base/result.h"
#include "bundle/bundle.h"
#include "npu/answerer.h"
#include "npu/hef_device.h"
#include "run/engine.h"

namespace graupel::npu {

// The CPU alone; encode and decode say that there is no device. Error: memory for a clone.
Result<Network> cpu_network(const run::Engine& engine);

struct DeviceNetwork {
  Network network;
  HefDevice device;  // what opening it needs
};
// `bundle` holds the members device.json, before.plan, host.plan (if there is one) and model.hef;
// `engine` is that of its cpu.plan. Errors: kInvalidInput if a member is missing; kCorrupt if they
// contradict each other; those of parse_device_map, run::parse_plan, run::load_engine, hef_device.
Result<DeviceNetwork> device_network(const bundle::Bundle& bundle, const run::Engine& engine);

}  // namespace graupel::npu
