#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "app/doctor/files.hpp"
#include "app/doctor/report.hpp"

namespace tern::app::doctor {
namespace doctor_test {

namespace fs = std::filesystem;

// A machine made of files.
class Machine {
 public:
  Machine() {
    std::string name = (fs::temp_directory_path() / "tern-doctor-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    root = name;
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine() { fs::remove_all(root); }

  void file(const std::string& path, const std::string& text) const {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text << '\n';
  }
  void link(const std::string& path, const std::string& to) const {
    fs::create_directories((root / path).parent_path());
    fs::create_symlink(to, root / path);
  }
  fs::path root;
};

const Finding& about(const Report& report, std::string_view topic) {
  for (const Finding& f : report)
    if (f.topic == topic) return f;
  throw std::runtime_error("nothing found about " + std::string(topic));
}

TEST(Files, FieldIsFoundByItsWholeName) {
  const std::string text = "vmx flags\t: ept\nflags\t\t: fpu tsc\nmodel name : X\nempty:\n";
  EXPECT_EQ(field(text, "flags"), "fpu tsc");
  EXPECT_EQ(field(text, "model name"), "X");
  EXPECT_EQ(field(text, "model"), "");
  EXPECT_EQ(field(text, "empty"), "");
  EXPECT_EQ(field("", "flags"), "");
}

TEST(Files, UnreadableFileIsEmpty) {
  EXPECT_EQ(slurp("/nowhere/at/all"), "");
  EXPECT_EQ(number("/nowhere/at/all", 7), 7);
  EXPECT_TRUE(entries("/nowhere/at/all").empty());
}

TEST(DoctorHugePages, NoneNamesTheCommandThatMakesSome) {
  const Machine m;
  m.file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0");
  Report r;
  probe_huge_pages(r, m.root);
  EXPECT_EQ(about(r, "huge pages").state, State::note);
  EXPECT_EQ(about(r, "huge pages").fix, "sysctl -w vm.nr_hugepages=1024");
}

TEST(DoctorHugePages, SomeAreCounted) {
  const Machine m;
  m.file("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512");
  m.file("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "500");
  m.file("proc/meminfo", "MemTotal: 1 kB\nMemAvailable:    4194304 kB");
  Report r;
  probe_huge_pages(r, m.root);
  EXPECT_EQ(about(r, "huge pages").detail, "512 of 2 MiB, 500 free");
  EXPECT_EQ(about(r, "memory").detail, "4096 MiB available");
  EXPECT_EQ(about(r, "memory").state, State::good);
}

TEST(DoctorTun, AbsentDeviceIsMissing) {
  const Machine m;
  Report r;
  probe_privileges(r, m.root);
  EXPECT_EQ(about(r, "TUN/TAP").state, State::missing);
  EXPECT_NE(about(r, "TUN/TAP").fix.find("modprobe tun"), std::string::npos);
}

TEST(DoctorPmds, EmptyFolderIsMissing) {
  const Machine m;
  Report r;
  probe_dpdk(r, m.root);
  EXPECT_EQ(about(r, "PMDs").state, State::missing);
  EXPECT_EQ(about(r, "PMDs").fix, "apt-get install libdpdk-dev");
}

TEST(DoctorPmds, WhatIsNotThereIsNamed) {
  const Machine m;
  m.file("librte_net_tap.so.23.0", "");
  m.file("librte_net_ixgbe.so.23.0", "");
  m.file("librte_crypto_null.so.23.0", "");
  Report r;
  probe_dpdk(r, m.root);
  EXPECT_TRUE(about(r, "PMDs").detail.starts_with("2 drivers in")) << about(r, "PMDs").detail;
  EXPECT_TRUE(about(r, "PMDs").detail.ends_with("software: net_tap"));
  EXPECT_NE(r.back().detail.find("net_memif"), std::string::npos);
}

TEST(DoctorNics, KernelsCardComesWithTheBindCommand) {
  const Machine m;
  m.file("sys/bus/pci/devices/0000:01:00.0/class", "0x020000");
  m.file("sys/bus/pci/devices/0000:01:00.0/vendor", "0x8086");
  m.file("sys/bus/pci/devices/0000:01:00.0/device", "0x1572");
  m.file("sys/bus/pci/devices/0000:01:00.0/net/ens1/mtu", "1500");
  m.link("sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/i40e");
  m.file("sys/bus/pci/devices/0000:02:00.0/class", "0x010802"); // a disk is none of our business
  Report r;
  probe_nics(r, m.root);
  const Finding& nic = about(r, "NIC");
  EXPECT_EQ(nic.state, State::note);
  EXPECT_NE(nic.detail.find("driver i40e, ens1"), std::string::npos) << nic.detail;
  EXPECT_NE(nic.fix.find("enable_unsafe_noiommu_mode=1"), std::string::npos) << nic.fix;
  EXPECT_TRUE(nic.fix.ends_with("dpdk-devbind.py --bind=vfio-pci 0000:01:00.0"));
}

TEST(DoctorNics, CardOfVfioIsReady) {
  const Machine m;
  m.file("sys/bus/pci/devices/0000:01:00.0/class", "0x020000");
  m.link("sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/vfio-pci");
  m.file("sys/kernel/iommu_groups/1/type", "DMA");
  Report r;
  probe_nics(r, m.root);
  EXPECT_EQ(about(r, "NIC").state, State::good);
  EXPECT_EQ(about(r, "IOMMU").state, State::good);
}

TEST(DoctorClock, TscOfThisMachineIsBelievable) {
  const Machine m;
  m.file("proc/cpuinfo", "flags : fpu constant_tsc nonstop_tsc_s3");
  Report r;
  probe_clock(r, m.root);
  EXPECT_EQ(about(r, "TSC").state, State::note); // nonstop_tsc_s3 is another flag
  m.file("proc/cpuinfo", "flags : fpu constant_tsc nonstop_tsc rep_good");
  Report again;
  probe_clock(again, m.root);
  EXPECT_EQ(about(again, "TSC").state, State::good);
  const double ghz = std::stod(about(again, "TSC").detail);
  EXPECT_GT(ghz, 0.5);
  EXPECT_LT(ghz, 10.0);
}

TEST(DoctorReport, JsonHoldsWhatTheTextHolds) {
  const Report r{{"a", State::good, "fine"}, {"b", State::missing, "not \"there\"", "mend it"}};
  EXPECT_EQ(as_text(r),
            "ok       a                fine\n"
            "missing  b                not \"there\"\n"
            "                          fix: mend it\n");
  const auto j = nlohmann::json::parse(as_json(r));
  ASSERT_EQ(j["findings"].size(), 2U);
  EXPECT_FALSE(j["findings"][0].contains("fix"));
  EXPECT_EQ(j["findings"][1]["state"], "missing");
  EXPECT_EQ(j["findings"][1]["detail"], "not \"there\"");
  EXPECT_EQ(j["findings"][1]["fix"], "mend it");
}

TEST(DoctorReport, ThisMachineIsExaminedWhole) {
  const Report r = examine();
  for (const char* topic : {"DPDK", "PMDs", "huge pages", "memory", "privileges", "namespaces", "TUN/TAP",
                            "cores", "NUMA", "TSC"})
    EXPECT_FALSE(about(r, topic).detail.empty()) << topic;
  for (const Finding& f : r) EXPECT_TRUE(f.state != State::missing || !f.fix.empty()) << f.topic;
}

} // namespace doctor_test
} // namespace tern::app::doctor
