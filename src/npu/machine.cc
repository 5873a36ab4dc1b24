// Looking for a Hailo-8 and its software. See machine.h. Test: machine_test.cc.
#include "npu/machine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "base/files.h"

namespace graupel::npu {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHailoVendor = "0x1e60";  // pci.ids: Hailo Technologies Ltd.

std::string first_line(const fs::path& path) {
  const Result<std::string> text = read_file(path.string(), 4096);
  return text.ok() ? text->substr(0, text->find('\n')) : std::string();
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

MachineRow pcie_link(const fs::path& root) {
  MachineRow row{"Hailo on PCIe", false, "",
                 "no PCIe device of Hailo's is seen: check the HAT's ribbon cable, power off and "
                 "on, and on a Raspberry Pi 5 enable the connector (dtparam=pciex1)"};
  for (const fs::path& device : entries(root / "sys/bus/pci/devices")) {
    if (first_line(device / "vendor") != kHailoVendor) continue;
    const std::string speed = first_line(device / "current_link_speed");
    const std::string width = first_line(device / "current_link_width");
    row.found = fmt::format("{}, device {}, {}, x{}", device.filename().string(),
                            first_line(device / "device"), speed, width);
    row.good = !speed.starts_with("2.5 ") && !speed.starts_with("5.0 ");
    row.remedy =
        "the link runs below PCIe generation 3: works, at half the transfer rate or less; on a "
        "Raspberry Pi 5 add dtparam=pciex1_gen=3 to config.txt and reboot";
    break;
  }
  return row;
}

// "4.20.0" of libhailort.so.4.20.0; empty if there is none.
std::string library_version(const fs::path& root) {
  constexpr std::string_view kPrefix = "libhailort.so.";
  for (const char* folder : {"usr/lib", "usr/local/lib", "usr/lib/aarch64-linux-gnu",
                             "usr/lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"}) {
    for (const fs::path& file : entries(root / folder)) {
      const std::string name = file.filename().string();
      if (name.starts_with(kPrefix)) return name.substr(kPrefix.size());
    }
  }
  return {};
}

MachineRow driver(const fs::path& root) {
  MachineRow row{"driver hailo_pci", false, first_line(root / "sys/module/hailo_pci/version"),
                 "not loaded: apt install hailo-all (it brings hailo-dkms), then reboot"};
  row.good = !row.found.empty();
  std::error_code ignored;
  if (!row.good && fs::exists(root / "sys/module/hailo1x_pci", ignored)) {
    row.found = "hailo1x_pci";
    row.remedy =
        "that driver is for Hailo-10 and does not bind a Hailo-8; install hailo-all "
        "without the packages for Hailo-10, then reboot";
  }
  return row;
}

MachineRow library(const fs::path& root, const MachineRow& driver_row) {
  MachineRow row{"libhailort", false, library_version(root),
                 "not installed: apt install hailo-all (it brings hailort)"};
  if (row.found.empty()) return row;
  const bool same = !driver_row.good || driver_row.found == row.found;
  const bool four = row.found.starts_with("4.");
  row.good = same && four;
  row.remedy = fmt::format(
      "library {} and driver {} have to be the same release: apt install --reinstall hailo-all, "
      "reboot (firmware is loaded at boot), and hold both from separate upgrades",
      row.found, driver_row.found);
  if (!four) {
    row.remedy =
        "graupel drives HailoRT 4.17 to 4.23; 5.x is for Hailo-10 and -15, install the 4.x "
        "release of hailo-all";
  }
  return row;
}

MachineRow device_file(const fs::path& root) {
  MachineRow row{"/dev/hailo0", false, "",
                 "there is none: the driver is not loaded or did not bind; see dmesg"};
  const fs::path path = root / "dev/hailo0";
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (failed || !fs::exists(status)) return row;
  row.good = ::access(path.c_str(), R_OK | W_OK) == 0;
  row.found = fmt::format("mode {:o}", static_cast<unsigned>(status.permissions()) & 0777u);
  row.remedy =
      "this user may not read and write it: install the udev rule of hailort and reload "
      "(udevadm trigger), or chmod 666 until the next boot";
  return row;
}

MachineRow holder(const fs::path& root) {
  MachineRow row{"/dev/hailo0 to itself", true, "",
                 "one process owns the device: stop it, or give graupel its turn"};
  for (const fs::path& process : entries(root / "proc")) {
    const std::string pid = process.filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    for (const fs::path& fd : entries(process / "fd")) {
      std::error_code failed;
      const fs::path target = fs::read_symlink(fd, failed);
      if (failed || target != "/dev/hailo0") continue;
      row.good = false;
      row.found = fmt::format("held by {} (process {})", first_line(process / "comm"), pid);
    }
  }
  if (row.good) row.found = "no process that this user may look into holds /dev/hailo0";
  return row;
}

// "4.20.0" of "1:4.20.0-1+rpt1".
std::string upstream(std::string version) {
  version = version.substr(version.find(':') + 1);
  return version.substr(0, version.find_first_of("-+~"));
}

// What dpkg has of the vendor's, in the order of its list: name and version.
std::vector<std::pair<std::string, std::string>> packages(const fs::path& root) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  const Result<std::string> status = read_file((root / "var/lib/dpkg/status").string(), kMaxBytes);
  std::vector<std::pair<std::string, std::string>> found;
  if (!status.ok()) return found;
  std::istringstream lines(*status);
  std::string name, version;
  bool installed = false;
  const auto end_of_entry = [&] {
    if (installed && name.starts_with("hailo")) found.emplace_back(name, version);
    name = version = "";
    installed = false;
  };
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) end_of_entry();
    if (line.starts_with("Package: ")) name = line.substr(9);
    if (line.starts_with("Version: ")) version = line.substr(9);
    if (line.starts_with("Status: ")) installed = line.ends_with(" installed");
  }
  end_of_entry();
  return found;
}

// The firmware has no version in sysfs; its package, loaded at boot, has.
MachineRow vendor_packages(const fs::path& root, const MachineRow& library_row) {
  MachineRow row{"Hailo packages", false, "",
                 "dpkg knows none of hailort, hailofw and hailo-dkms: apt install hailo-all"};
  std::string release, other;
  for (const auto& [name, version] : packages(root)) {
    row.found += fmt::format("{}{} {}", row.found.empty() ? "" : ", ", name, version);
    // hailo-all and the like have versions of their own.
    const bool counts = name == "hailort" || name == "hailofw" || name == "hailo-dkms" ||
                        name == "hailort-pcie-driver";
    if (!counts) continue;
    if (release.empty()) release = upstream(version);
    if (upstream(version) != release) other = name;
  }
  row.good = !release.empty() && other.empty();
  if (!other.empty()) {
    row.remedy = fmt::format(
        "{} is of another release: library, driver and firmware belong together; apt install "
        "--reinstall hailo-all and reboot, so that the firmware is loaded anew",
        other);
  } else if (row.good && !library_row.found.empty() && library_row.found != release) {
    row.good = false;
    row.remedy = fmt::format(
        "but the library found is {}: a second one is installed beside the packages; remove it",
        library_row.found);
  }
  return row;
}

}  // namespace

std::vector<MachineRow> examine_hailo(const std::string& root) {
  const fs::path top(root);
  std::vector<MachineRow> rows = {pcie_link(top), driver(top)};
  rows.push_back(library(top, rows[1]));
  rows.push_back(device_file(top));
  rows.push_back(holder(top));
  rows.push_back(vendor_packages(top, rows[2]));
  return rows;
}

}  // namespace graupel::npu
