// What a bundle needs beside a device: before.plan, host.plan and device.json.
// Test: device_members_test.cc.
#pragma once

#include "base/result.h"
#include "bundle/bundle.h"

namespace graupel::deploy {

// Makes the three members anew from the parts and the normalization, and joins them to model.hef if
// there is one. On error the bundle has none of the three: kUnsupported if a device cannot be asked
// for these parts or graupel does not run this HEF; kCorrupt for a broken HEF; else those of
// compile::compile_device_sides.
Result<void> write_device_members(bundle::Bundle& bundle);
void drop_device_members(bundle::Bundle& bundle);

}  // namespace graupel::deploy
