// Outputs that the runtime makes of the device's: operations of a net-flow group (NMS, argmax,
// softmax) and NMS that the compiler took apart. Test: hef_test.cc, fuzz/hef_fuzz.cc.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hef/hef.h"

namespace graupel::hef {

struct HostOp {
  std::vector<uint64_t> input_pads;
  std::vector<Stream> outputs;  // one per output pad, ready for the application
};
// An operation other than a core op.
Result<HostOp> read_host_op(std::string_view message);
// Hides the outputs it reads behind its own. `source_of`: the pad at the other end of an edge.
void apply_host_op(const HostOp& op, const std::map<uint64_t, uint64_t>& source_of, Group& group);

// One NMS output of the application, which the device gives in several.
struct FusedLayer {
  std::string name;
  std::vector<std::string> parts;
  Nms nms;
};
Result<FusedLayer> read_fused_layer(std::string_view message);
void apply_fused_layer(const FusedLayer& fused, Group& group);

// An edge layer's NMS on the device; fused_as names the NMS it is a part of, if it is one.
Result<Nms> read_nms_info(std::string_view message);

}  // namespace graupel::hef
