// DPDK and what it can drive: its version and plug-ins, and the machine's network cards.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <rte_build_config.h>
#include <rte_version.h>

#include <algorithm>
#include <set>

#include "app/doctor/files.hpp"
#include "app/doctor/report.hpp"

namespace tern::app::doctor {
namespace fs = std::filesystem;
namespace {

// The software PMDs that Tern is tried and tested with.
constexpr const char* software[] = {"net_tap",    "net_null",  "net_ring", "net_af_packet",
                                    "net_af_xdp", "net_memif", "net_pcap"};

// librte_net_tap.so.23.0 → net_tap
std::string driver_name(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::size_t dot = name.find(".so");
  return name.starts_with("librte_net_") && dot != std::string::npos ? name.substr(7, dot - 7)
                                                                     : std::string{};
}

std::string link_name(const fs::path& link) {
  std::error_code error;
  const fs::path to = fs::read_symlink(link, error);
  return error ? std::string{} : to.filename().string();
}

bool userspace_driver(const std::string& driver) {
  return driver == "vfio-pci" || driver == "uio_pci_generic" || driver == "igb_uio";
}

// mlx5 and mlx4 share the NIC with the kernel; every other PMD wants it for itself.
bool bifurcated(const std::string& driver) {
  return driver.starts_with("mlx");
}

void probe_card(Report& report, const fs::path& pci, bool iommu) {
  const std::string address = pci.filename().string();
  const std::string driver = link_name(pci / "driver");
  std::vector<std::string> names;
  for (const fs::path& n : entries(pci / "net")) names.push_back(n.filename().string());
  // virtio's interface hangs one level deeper.
  for (const fs::path& sub : entries(pci))
    if (sub.filename().string().starts_with("virtio"))
      for (const fs::path& n : entries(sub / "net")) names.push_back(n.filename().string());
  const std::string what = fmt::format("{} [{}:{}] driver {}{}", address, slurp(pci / "vendor"),
                                       slurp(pci / "device"), driver.empty() ? "none" : driver,
                                       names.empty() ? "" : fmt::format(", {}", fmt::join(names, " ")));
  if (userspace_driver(driver) || bifurcated(driver)) {
    report.push_back({"NIC", State::good, what + ": DPDK can have it"});
    return;
  }
  const std::string unsafe = iommu ? "" : "modprobe vfio enable_unsafe_noiommu_mode=1 && ";
  report.push_back(
      {"NIC", State::note, what + ": the kernel's; bound to vfio-pci, it is gone from the kernel",
       fmt::format("{}modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci {}", unsafe, address)});
}

} // namespace

void probe_dpdk(Report& report, const std::string& pmd_dir) {
  report.push_back({"DPDK", State::good, rte_version()});
  std::set<std::string> found;
  for (const fs::path& file : entries(pmd_dir))
    if (std::string name = driver_name(file); !name.empty()) found.insert(std::move(name));
  std::vector<std::string> have;
  std::vector<std::string> lack;
  for (const char* name : software) (found.contains(name) ? have : lack).emplace_back(name);
  if (found.empty()) {
    report.push_back(
        {"PMDs", State::missing, fmt::format("no driver in {}", pmd_dir), "apt-get install libdpdk-dev"});
    return;
  }
  report.push_back(
      {"PMDs", State::good,
       fmt::format("{} drivers in {}; software: {}", found.size(), pmd_dir, fmt::join(have, " "))});
  if (!lack.empty())
    report.push_back({"PMDs", State::note, fmt::format("not there: {}", fmt::join(lack, " ")),
                      "apt-get install libdpdk-dev"});
}

void probe_nics(Report& report, const std::string& root) {
  const bool iommu = !entries(root + "/sys/kernel/iommu_groups").empty();
  bool any = false;
  for (const fs::path& pci : entries(root + "/sys/bus/pci/devices")) {
    if (!slurp(pci / "class").starts_with("0x02")) continue; // network controllers
    any = true;
    probe_card(report, pci, iommu);
  }
  std::vector<std::string> others;
  for (const fs::path& net : entries(root + "/sys/class/net"))
    if (const std::string name = net.filename().string(); name != "lo") others.push_back(name);
  if (!any)
    report.push_back(
        {"NIC", State::note,
         "no PCI network card is seen: software ports (net_tap, net_af_packet, net_memif, in memory) work"});
  if (!others.empty())
    report.push_back({"interfaces", State::good, fmt::format("the kernel's: {}", fmt::join(others, " "))});
  if (any)
    report.push_back({"IOMMU", iommu ? State::good : State::note,
                      iommu ? "on" : "off: vfio-pci works in its unsafe mode only",
                      iommu ? "" : "add intel_iommu=on or amd_iommu=on to the kernel's command line"});
}

} // namespace tern::app::doctor
