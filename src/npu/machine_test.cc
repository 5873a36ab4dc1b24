// Machines made of files: a Pi with nothing, a Pi with everything, and each thing that goes wrong.
#include "npu/machine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace graupel::npu {
namespace {

namespace fs = std::filesystem;

class Machine : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ("graupel_machine_" +
             std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void put_everything() {
    const std::string pci = "sys/bus/pci/devices/0001:01:00.0/";
    put(pci + "vendor", "0x1e60\n");
    put(pci + "device", "0x2864\n");
    put(pci + "current_link_speed", "8.0 GT/s PCIe\n");
    put(pci + "current_link_width", "1\n");
    put("sys/bus/pci/devices/0000:00:00.0/vendor", "0x14e4\n");
    put("sys/module/hailo_pci/version", "4.20.0\n");
    put("usr/lib/libhailort.so.4.20.0", "");
    put("dev/hailo0", "");
    put_packages("4.20.0-1");
  }
  void put_packages(const std::string& firmware) {
    put("var/lib/dpkg/status",
        "Package: hailo-all\nStatus: install ok installed\nVersion: 4.20.0\n\n"
        "Package: hailo-dkms\nStatus: install ok installed\nVersion: 4.20.0-1+rpt1\n\n"
        "Package: hailofw\nStatus: install ok installed\nVersion: " +
            firmware +
            "\n\nPackage: hailort\nStatus: install ok installed\nVersion: 4.20.0-1\n\n"
            "Package: hailo-old\nStatus: deinstall ok config-files\nVersion: 4.17.0\n\n"
            "Package: zlib1g\nStatus: install ok installed\nVersion: 1.2.13\n");
  }
  std::vector<MachineRow> rows() { return examine_hailo(root_.string()); }

  fs::path root_;
};

TEST_F(Machine, WithNothingSaysWhatToInstall) {
  const std::vector<MachineRow> all = rows();
  ASSERT_EQ(all.size(), 6u);
  for (size_t i = 0; i < 4; ++i) EXPECT_FALSE(all[i].good || !all[i].found.empty()) << all[i].what;
  EXPECT_NE(all[1].remedy.find("apt install hailo-all"), std::string::npos);
  EXPECT_TRUE(all[4].good);
}

TEST_F(Machine, WithEverythingIsGood) {
  put_everything();
  const std::vector<MachineRow> all = rows();
  for (const MachineRow& row : all) EXPECT_TRUE(row.good) << row.what << ": " << row.found;
  EXPECT_EQ(all[0].found, "0001:01:00.0, device 0x2864, 8.0 GT/s PCIe, x1");
  EXPECT_EQ(all[2].found, "4.20.0");
  EXPECT_EQ(all[5].found,
            "hailo-all 4.20.0, hailo-dkms 4.20.0-1+rpt1, hailofw 4.20.0-1, hailort 4.20.0-1");
}

TEST_F(Machine, PackagesOfDifferentReleases) {
  put_everything();
  put_packages("4.21.0-1");
  EXPECT_FALSE(rows()[5].good);
  EXPECT_NE(rows()[5].remedy.find("hailofw is of another release"), std::string::npos);
  put_packages("4.20.0-1");
  fs::remove(root_ / "usr/lib/libhailort.so.4.20.0");
  put("usr/local/lib/libhailort.so.4.23.0", "");
  EXPECT_FALSE(rows()[5].good);
  EXPECT_NE(rows()[5].remedy.find("a second one"), std::string::npos);
  fs::remove(root_ / "var/lib/dpkg/status");
  EXPECT_NE(rows()[5].remedy.find("apt install hailo-all"), std::string::npos);
}

TEST_F(Machine, ASlowLinkIsSaid) {
  put_everything();
  put("sys/bus/pci/devices/0001:01:00.0/current_link_speed", "5.0 GT/s PCIe\n");
  EXPECT_FALSE(rows()[0].good);
  EXPECT_NE(rows()[0].remedy.find("pciex1_gen=3"), std::string::npos);
}

TEST_F(Machine, LibraryAndDriverOfDifferentReleases) {
  put_everything();
  put("sys/module/hailo_pci/version", "4.21.0\n");
  EXPECT_TRUE(rows()[1].good);
  EXPECT_FALSE(rows()[2].good);
  EXPECT_NE(rows()[2].remedy.find("library 4.20.0 and driver 4.21.0"), std::string::npos);
}

TEST_F(Machine, SoftwareOfTheOtherDeviceLine) {
  put_everything();
  fs::remove_all(root_ / "sys/module/hailo_pci");
  put("sys/module/hailo1x_pci/version", "5.1.0\n");
  fs::remove(root_ / "usr/lib/libhailort.so.4.20.0");
  put("usr/lib/libhailort.so.5.1.0", "");
  EXPECT_FALSE(rows()[1].good);
  EXPECT_NE(rows()[1].remedy.find("Hailo-10"), std::string::npos);
  EXPECT_FALSE(rows()[2].good);
  EXPECT_NE(rows()[2].remedy.find("4.17 to 4.23"), std::string::npos);
}

TEST_F(Machine, WhoHoldsTheDevice) {
  put_everything();
  put("proc/812/comm", "frigate\n");
  fs::create_directories(root_ / "proc/812/fd");
  fs::create_symlink("/dev/null", root_ / "proc/812/fd/0");
  EXPECT_TRUE(rows()[4].good);
  fs::create_symlink("/dev/hailo0", root_ / "proc/812/fd/7");
  EXPECT_FALSE(rows()[4].good);
  EXPECT_EQ(rows()[4].found, "held by frigate (process 812)");
}

TEST_F(Machine, ADeviceFileNobodyMayOpen) {
  put_everything();
  fs::permissions(root_ / "dev/hailo0", fs::perms::none);
  const MachineRow row = rows()[3];
  EXPECT_EQ(row.found, "mode 0");
  EXPECT_EQ(row.good, ::geteuid() == 0);  // root may open everything
}

}  // namespace
}  // namespace graupel::npu
