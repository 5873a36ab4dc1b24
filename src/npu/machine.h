// What a machine has, and lacks, for running on a Hailo-8. Looks at files only: nothing of the
// vendor's is loaded or run, and every path is taken below `root`, so that a test can make one.
// Reference: where the packages hailort, hailo-dkms and hailofw put their files; the kernel's
// sysfs-bus-pci. Test: machine_test.cc.
#pragma once

#include <string>
#include <vector>

namespace graupel::npu {

struct MachineRow {
  std::string what;
  bool good = false;
  std::string found;   // what is there; empty: nothing
  std::string remedy;  // what to do if it is not good
};

// In the order in which they have to be right: PCIe link, driver, library, device file, who holds
// it, and whether the packages (the firmware's too) are of one release. `root` is "/" or a folder
// that stands for it.
std::vector<MachineRow> examine_hailo(const std::string& root);

}  // namespace graupel::npu
