#include "io/eal.hpp"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_pci.h>
#include <sched.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "io/error.hpp"

namespace tern::io {
namespace {

std::uint64_t read_number(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::uint64_t n = 0;
  return in >> n ? n : 0;
}

bool hex_run(std::string_view& s, std::size_t least, std::size_t most) {
  std::size_t n = 0;
  while (n < s.size() && n < most && std::isxdigit(static_cast<unsigned char>(s[n])) != 0) ++n;
  s.remove_prefix(n);
  return n >= least;
}
bool literal(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

} // namespace

std::vector<unsigned> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

HugePageState read_huge_pages(std::string_view sys_dir) {
  HugePageState state;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(sys_dir, none)) {
    // Directories are named "hugepages-2048kB".
    const std::string name = entry.path().filename().string();
    const std::size_t dash = name.find('-');
    if (dash == std::string::npos) continue;
    std::uint64_t kb = 0;
    std::from_chars(name.data() + dash + 1, name.data() + name.size(), kb);
    const std::uint64_t free = read_number(entry.path() / "free_hugepages");
    if (free == 0) continue;
    state.free_bytes += free * kb * 1024;
    state.page_bytes = std::max(state.page_bytes, kb * 1024);
  }
  return state;
}

EalChoice choose_eal(const EalSettings& s, const HugePageState& pages) {
  EalChoice c;
  const std::uint64_t wanted = std::uint64_t{s.memory_mb} << 20;
  const bool enough = pages.free_bytes >= wanted;
  if (s.huge_pages == HugePages::required && !enough)
    throw HugePagesError(
        fmt::format("{} MB of them are needed and {} MB are free; "
                    "run `echo {} > /proc/sys/vm/nr_hugepages` as root, or choose auto",
                    s.memory_mb, pages.free_bytes >> 20, (s.memory_mb + 1) / 2));
  c.huge = s.huge_pages != HugePages::never && enough;
  c.arguments = {"tern"};
  if (c.huge) {
    // One file for all pages of a kind: net_memif's zero-copy hands it to its peer.
    c.arguments.insert(c.arguments.end(), {"--in-memory", "--single-file-segments"});
  } else {
    // Without -m a --no-huge EAL takes 64 MB; with --in-memory it aborts.
    c.arguments.insert(c.arguments.end(), {"--no-huge", "--no-shconf", "-m", std::to_string(s.memory_mb)});
    if (s.huge_pages == HugePages::automatic)
      c.note = fmt::format(
          "no huge pages ({} MB free of {} MB wanted): packets lie on pages that the kernel joins where it "
          "can, which is slower, and ports with real DMA need them",
          pages.free_bytes >> 20, s.memory_mb);
  }
  if (s.devices.empty()) c.arguments.emplace_back("--no-pci");
  for (const auto& d : s.devices) c.arguments.insert(c.arguments.end(), {"-a", d});
  if (!s.telemetry) c.arguments.emplace_back("--no-telemetry");
  std::string lcores = fmt::format("0@({})", fmt::join(allowed_cpus(), ","));
  for (std::size_t i = 0; i < s.cores.size(); ++i) lcores += fmt::format(",{}@{}", i + 1, s.cores[i]);
  c.arguments.insert(c.arguments.end(), {"--lcores", lcores});
  c.arguments.emplace_back(s.verbose ? "--log-level=*:info" : "--log-level=*:error");
  return c;
}

bool is_pci_address(std::string_view s) {
  s = s.substr(0, s.find(','));
  std::string_view with_domain = s;
  if (hex_run(with_domain, 4, 8) && literal(with_domain, ':')) s = with_domain;
  return hex_run(s, 2, 2) && literal(s, ':') && hex_run(s, 2, 2) && literal(s, '.') && hex_run(s, 1, 1) &&
         s.empty();
}

std::string device_name(std::string_view port) {
  std::string name{port.substr(0, port.find(','))};
  rte_pci_addr at{};
  if (!is_pci_address(name) || rte_pci_addr_parse(name.c_str(), &at) != 0) return name;
  char full[PCI_PRI_STR_SIZE];
  rte_pci_device_name(&at, full, sizeof full);
  return full;
}

Eal::Eal(const EalSettings& settings) : choice_(choose_eal(settings, read_huge_pages())) {
  // EAL keeps the pointers: they live as long as the process.
  static std::vector<std::string> words;
  if (!words.empty()) throw Error("EAL: it can be started once in a process");
  words = choice_.arguments;
  std::vector<char*> argv;
  argv.reserve(words.size());
  for (auto& w : words) argv.push_back(w.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    std::string line;
    for (const auto& w : words) line += " " + w;
    throw Error(
        fmt::format("EAL does not start: {} (its arguments:{}); `tern doctor` says what this machine can do",
                    rte_strerror(rte_errno), line));
  }
}

// Not rte_eal_cleanup(): it unmaps DPDK's heap while EAL's interrupt thread still runs, which then reads its
// list of devices there (seen in 22.11 as a crash at exit, when a memif peer hangs up in that moment). Ports
// are closed by who opened them; the rest goes with the process, and telemetry removes its socket at exit.
Eal::~Eal() = default;

} // namespace tern::io
