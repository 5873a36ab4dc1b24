// For tests: a small random network in three parts, compiled as a bundle with a HEF for the
// stand-in library. One tensor goes around the device; with enough luck several leave it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "bundle/bundle.h"
#include "compile/compile.h"
#include "compile/random_nets.h"
#include "npu/device_map.h"
#include "npu/network.h"
#include "npu/standin/standin_network.h"
#include "npu/standin/test_hef.h"
#include "run/engine.h"
#include "run/load.h"

namespace graupel::npu {

struct TestBundle {
  bundle::Bundle bundle;
  run::Engine engine;  // of cpu.plan
  Shape window;        // of a raw window
  double scale = 1.0;  // of the device's input
  bool exact = false;  // everything crosses in the 8 bits the device part itself uses
};

// raw -> window (half of it) for the device and "around" (its absolute values).
inline ir::Graph before_part(const Shape& shape) {
  compile::NetBuilder b(1);
  const ir::ValueId raw = ir::add_input(b.graph, "raw", DType::kFloat32, shape);
  const ir::ValueId half =
      b.node(ir::Binary{ir::BinaryKind::kMul}, {raw, b.constant(Tensor::scalar(0.5f))});
  const ir::ValueId around = b.node(ir::Unary{ir::UnaryKind::kAbs}, {raw});
  b.graph.value(half).name = "window";
  b.graph.value(around).name = "around";
  b.graph.outputs = {half, around};
  return b.graph;
}

// Logits of the device's last output and of what went around.
inline ir::Graph host_part(const ir::Graph& device, const Shape& raw) {
  compile::NetBuilder b(2);
  const ir::ValueId last = device.outputs.back();
  const Shape& shape = device.shape(last);
  const ir::ValueId x = ir::add_input(b.graph, device.value(last).name, DType::kFloat32, shape);
  const ir::ValueId around = ir::add_input(b.graph, "around", DType::kFloat32, raw);
  const ir::ValueId flat = b.node(ir::Flatten{1}, {around});
  const ir::ValueId a = b.node(ir::MatMul{}, {x, b.constant(b.floats({shape.back(), 4}, -1, 1))});
  const ir::ValueId c =
      b.node(ir::MatMul{}, {flat, b.constant(b.floats({b.shape(flat)[1], 4}, -1e-2, 1e-2))});
  const ir::ValueId logits = b.node(ir::Binary{ir::BinaryKind::kAdd}, {a, c});
  b.graph.value(logits).name = "logits";
  b.graph.outputs = {logits};
  return b.graph;
}

inline DeviceMap map_of(const ir::Graph& device) {
  DeviceMap map;
  for (const ir::ValueId id : device.inputs) {
    map.inputs.push_back({device.value(id).name, device.shape(id), {}, {}});
  }
  for (const ir::ValueId id : device.outputs) {
    std::string node;
    for (const ir::Node& n : device.nodes) {
      if (!n.dead && n.outputs[0] == id) node = n.name;
    }
    map.outputs.push_back({device.value(id).name, device.shape(id), node, {}});
  }
  return map;
}

inline Result<TestBundle> make_test_bundle(uint64_t seed, uint32_t hef_version,
                                           bool wide_outputs = false) {
  const ir::Graph device = compile::random_qdq_net(seed, 4);
  TestBundle made;
  made.window = device.shape(device.inputs[0]);
  const ir::Graph before = before_part(made.window), host = host_part(device, made.window);
  compile::CompileOptions options;
  options.logits_output = "logits";
  TRY_ASSIGN(const run::Plan whole, compile::compile_plan(before, device, host, options));
  TRY_ASSIGN(const compile::DeviceSides sides,
             compile::compile_device_sides(before, device, host, options));
  TRY_ASSIGN(made.engine, run::load_engine(whole));
  StandinHefOptions hef_options;
  hef_options.header_version = hef_version;
  hef_options.wide_outputs = wide_outputs;
  Shape batch = made.window;
  batch[0] = 4;
  compile::NetBuilder random(seed);
  hef_options.windows = random.floats(batch, -2, 2);
  TRY_ASSIGN(const std::string hef, standin_hef(device, hef_options));
  TRY_ASSIGN(const hef::Hef read, hef::read_hef(hef));
  made.exact = true;
  for (const auto* streams : {&read.groups[0].inputs, &read.groups[0].outputs}) {
    for (const hef::Stream& stream : *streams) made.exact &= stream.element_bytes == 1;
  }
  made.scale = read.groups[0].inputs[0].quantization.scale;
  DeviceMap map = map_of(device);
  TRY(match_streams(map, read));
  map.hef_sha256 = bundle::sha256_hex(hef);
  made.bundle.manifest.model_name = "random";
  made.bundle.manifest.stage = bundle::Stage::kCompiled;
  made.bundle.members = {{std::string(run::kPlanMember), run::format_plan(whole)},
                         {std::string(kBeforePlanMember), run::format_plan(sides.before)},
                         {std::string(kHostPlanMember), run::format_plan(*sides.host)},
                         {std::string(kDeviceMapMember), format_device_map(map)},
                         {std::string(kHefMember), hef}};
  return made;
}

// The n-th network whose crossings are exact.
inline TestBundle exact_bundle(size_t n = 0, uint32_t hef_version = 2) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Result<TestBundle> made = make_test_bundle(seed, hef_version);
    if (!made.ok() || !made->exact) continue;
    if (n-- == 0) return *std::move(made);
  }
  ADD_FAILURE() << "no such network";
  return {};
}

// A raw window whose values, halved, lie away from the middle between two levels of the device.
inline std::vector<float> test_window(const TestBundle& made, int number) {
  Rng rng(static_cast<uint64_t>(number) + 1);
  std::vector<float> window(static_cast<size_t>(*element_count(made.window)));
  for (float& value : window) {
    const double level = static_cast<double>(rng.below(80)) - 40.0 + rng.uniform(-0.4, 0.4);
    value = static_cast<float>(2.0 * made.scale * level);
  }
  return window;
}

}  // namespace graupel::npu
