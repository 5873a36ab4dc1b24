// Plans beside the device, and which tensors cross. See device_members.h.
// Test: device_members_test.cc.
#include "deploy/device_members.h"

#include "compile/compile.h"
#include "deploy/stages.h"
#include "npu/device_map.h"
#include "npu/hef_device.h"

namespace graupel::deploy {
namespace {

std::string producer_of(const ir::Graph& graph, ir::ValueId id) {
  for (const ir::NodeId node : ir::live_nodes(graph)) {
    for (const ir::ValueId output : graph.node(node).outputs) {
      if (output == id) return graph.node(node).name;
    }
  }
  return {};
}

npu::DeviceMap map_of(const ir::Graph& device) {
  npu::DeviceMap map;
  for (const ir::ValueId id : device.inputs) {
    map.inputs.push_back({device.value(id).name, *device.value(id).shape, {}, {}});
  }
  for (const ir::ValueId id : device.outputs) {
    map.outputs.push_back(
        {device.value(id).name, *device.value(id).shape, producer_of(device, id), {}});
  }
  return map;
}

Result<void> join_hef(npu::DeviceMap& map, const std::string& bytes) {
  Result<npu::HefDevice> device = npu::hef_device(bytes);
  if (!device.ok()) return std::move(device).error().within(npu::kHefMember);
  TRY(npu::match_streams(map, device->hef));
  map.hef_sha256 = bundle::sha256_hex(bytes);
  return ok();
}

}  // namespace

void drop_device_members(bundle::Bundle& bundle) {
  bundle.members.erase(std::string(npu::kDeviceMapMember));
  bundle.members.erase(std::string(npu::kBeforePlanMember));
  bundle.members.erase(std::string(npu::kHostPlanMember));
}

Result<void> write_device_members(bundle::Bundle& bundle) {
  drop_device_members(bundle);
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  compile::CompileOptions options;
  TRY_ASSIGN(options.normalization, bundle_normalization(bundle));
  TRY_ASSIGN(const compile::DeviceSides sides,
             compile::compile_device_sides(halves.before, halves.device, halves.host, options));
  npu::DeviceMap map = map_of(halves.device);
  const auto hef = bundle.members.find(std::string(npu::kHefMember));
  if (hef != bundle.members.end()) TRY(join_hef(map, hef->second));
  bundle.members[std::string(npu::kDeviceMapMember)] = npu::format_device_map(map);
  bundle.members[std::string(npu::kBeforePlanMember)] = run::format_plan(sides.before);
  if (sides.host) {
    bundle.members[std::string(npu::kHostPlanMember)] = run::format_plan(*sides.host);
  }
  return ok();
}

}  // namespace graupel::deploy
