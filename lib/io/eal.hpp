// DPDK's environment: memory for packets, worker threads, devices. Started once a process, before any port.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tern::io {

enum class HugePages : std::uint8_t { automatic, required, never };

struct EalSettings {
  std::vector<unsigned> cores; // one worker a CPU named here; none: the caller's own thread does the work
  std::vector<std::string> devices; // PCI addresses to probe; vdevs are made when their port is opened
  unsigned memory_mb = 512;         // packets and DPDK's own objects; Tern's records have their own arena
  HugePages huge_pages = HugePages::automatic;
  bool verbose = false;   // DPDK's own notices on stderr
  bool telemetry = false; // DPDK's telemetry socket (needs a writable run-time directory)
};

// Every CPU this thread may run on, in order; never none.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

// What the machine offers, read from /sys: handed in, so that the choice is testable.
struct HugePageState {
  std::uint64_t free_bytes = 0;
  std::uint64_t page_bytes = 0; // of the largest size that has free pages
};
[[nodiscard]] HugePageState read_huge_pages(std::string_view sys_dir = "/sys/kernel/mm/hugepages");

struct EalChoice {
  bool huge = false;
  std::vector<std::string> arguments; // for rte_eal_init, the program's name first
  std::string note;                   // what the user should know of it; empty if nothing
};
// Throws Error when huge pages are required and too few are free.
[[nodiscard]] EalChoice choose_eal(const EalSettings& settings, const HugePageState& pages);

// "0000:03:00.0" or "03:00.0", with or without ",devargs".
[[nodiscard]] bool is_pci_address(std::string_view name);
// What DPDK calls the device of a port: without its arguments, a PCI address in full ("03:0A.0" is "0000:03:0a.0").
[[nodiscard]] std::string device_name(std::string_view port);

// Holds the EAL. Worker i of `cores` is lcore i + 1, pinned; lcore 0 is the thread that started it, not
// pinned, so that a machine with few cores keeps a control thread beside the workers.
class Eal {
 public:
  explicit Eal(const EalSettings& settings); // throws Error
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  [[nodiscard]] bool huge_pages() const { return choice_.huge; }
  [[nodiscard]] const std::string& note() const { return choice_.note; }
  [[nodiscard]] static unsigned lcore_of(unsigned worker) { return worker + 1; }

 private:
  EalChoice choice_;
};

} // namespace tern::io
