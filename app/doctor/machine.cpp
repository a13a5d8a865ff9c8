// The processor, its clock, memory and privileges.
#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "app/doctor/files.hpp"
#include "app/doctor/report.hpp"
#include "io/eal.hpp"

namespace tern::app::doctor {
namespace {

// Whether `what` works, tried in a child so that this process stays as it is.
bool works_in_child(int (*what)()) {
  const pid_t child = fork();
  if (child < 0) return false;
  if (child == 0) _exit(what() == 0 ? 0 : 1);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || text[at - 1] == ' ';
    const std::size_t end = at + word.size();
    if (begins && (end == text.size() || text[end] == ' ')) return true;
  }
  return false;
}

} // namespace

void probe_huge_pages(Report& report, const std::string& root) {
  long total = 0;
  std::string detail;
  for (const auto& dir : entries(root + "/sys/kernel/mm/hugepages")) {
    const long kb =
        std::strtol(dir.filename().string().substr(std::strlen("hugepages-")).c_str(), nullptr, 10);
    const long n = number(dir / "nr_hugepages", 0);
    const long free = number(dir / "free_hugepages", 0);
    if (n > 0)
      detail += fmt::format("{}{} of {} MiB, {} free", detail.empty() ? "" : "; ", n, kb / 1024, free);
    total += n * kb / 1024;
  }
  if (total == 0)
    report.push_back({"huge pages", State::note,
                      "none: Tern runs with --no-huge memory, and misses the TLB more often",
                      "sysctl -w vm.nr_hugepages=1024"});
  else
    report.push_back({"huge pages", State::good, detail});
  const std::string mem = slurp(root + "/proc/meminfo");
  const long kb = std::strtol(field(mem, "MemAvailable").c_str(), nullptr, 10);
  const std::string limit = slurp(root + "/sys/fs/cgroup/memory.max");
  const bool limited = !limit.empty() && limit != "max";
  report.push_back(
      {"memory", kb > 1024 * 1024 ? State::good : State::note,
       fmt::format("{} MiB available{}", kb / 1024,
                   limited ? fmt::format(", this control group's limit is {} bytes", limit) : "")});
}

void probe_privileges(Report& report, const std::string& root) {
  const std::string status = slurp(root + "/proc/self/status");
  const auto held = std::strtoull(field(status, "CapEff").c_str(), nullptr, 16);
  struct Needed {
    int bit;
    const char* name;
    const char* why;
  };
  static constexpr Needed needed[] = {
      {CAP_NET_ADMIN, "CAP_NET_ADMIN", "net_tap, and to set up interfaces"},
      {CAP_NET_RAW, "CAP_NET_RAW", "net_af_packet and net_af_xdp"},
      {CAP_IPC_LOCK, "CAP_IPC_LOCK", "to keep memory from being swapped, and for NICs by vfio"},
      {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "network namespaces: tests/port"},
  };
  std::string lacks;
  for (const Needed& n : needed)
    if ((held >> n.bit & 1U) == 0)
      lacks += fmt::format("{}{} ({})", lacks.empty() ? "" : ", ", n.name, n.why);
  const std::string who = geteuid() == 0 ? "root" : fmt::format("user {}", geteuid());
  if (lacks.empty())
    report.push_back({"privileges", State::good, who + ", with all the capabilities Tern has a use for"});
  else
    report.push_back({"privileges", State::note, fmt::format("{}; without {}", who, lacks), "sudo tern …"});

  rlimit lock{};
  getrlimit(RLIMIT_MEMLOCK, &lock);
  if (lock.rlim_cur != RLIM_INFINITY && (held >> CAP_IPC_LOCK & 1U) == 0)
    report.push_back({"locked memory", State::note,
                      fmt::format("at most {} KiB: too little for NICs by vfio", lock.rlim_cur / 1024),
                      "ulimit -l unlimited"});
  const bool spaces = works_in_child([] { return unshare(CLONE_NEWNET | CLONE_NEWNS); });
  report.push_back(
      {"namespaces", spaces ? State::good : State::note,
       spaces ? "can be made: tests/port can run" : "cannot be made here: tests/port will be skipped",
       spaces ? "" : "run as root; in a container, start it with --privileged"});
  const std::string tun = root + "/dev/net/tun";
  if (access(tun.c_str(), R_OK | W_OK) == 0)
    report.push_back({"TUN/TAP", State::good, "/dev/net/tun opens: net_tap can run"});
  else if (errno == ENOENT)
    report.push_back({"TUN/TAP", State::missing, "no /dev/net/tun: net_tap cannot run",
                      "modprobe tun || { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; }"});
  else
    report.push_back(
        {"TUN/TAP", State::missing, fmt::format("/dev/net/tun: {}", std::strerror(errno)), "sudo tern …"});
}

void probe_cpu(Report& report, const std::string& root) {
  const std::string info = slurp(root + "/proc/cpuinfo");
  const std::size_t n = io::allowed_cpus().size();
  report.push_back(
      {"cores", n >= 2 ? State::good : State::note,
       fmt::format("{} for this process (online {}): {}{}", n, slurp(root + "/sys/devices/system/cpu/online"),
                   field(info, "model name"), n >= 2 ? "" : "; with one, client and server take turns")});
  const std::string isolated = slurp(root + "/sys/devices/system/cpu/isolated");
  report.push_back(
      {"isolated cores", isolated.empty() ? State::note : State::good,
       isolated.empty() ? "none: the kernel may take a polling core away; matters for latency figures"
                        : isolated,
       isolated.empty() ? "add isolcpus=<cores> nohz_full=<cores> to the kernel's command line" : ""});
  const std::string nodes = slurp(root + "/sys/devices/system/node/online");
  report.push_back({"NUMA", State::good, nodes.empty() || nodes == "0" ? "one node" : "nodes " + nodes});
#ifdef __AVX2__
  const char* const built = "x86-64-v3 or newer (AVX2, BMI2), which this machine has";
#else
  const char* const built = "an older machine than x86-64-v3";
#endif
  report.push_back({"instruction set", State::good, fmt::format("built for {}", built)});
}

void probe_clock(Report& report, const std::string& root) {
  const std::string flags = field(slurp(root + "/proc/cpuinfo"), "flags");
  const bool invariant = has_word(flags, "constant_tsc") && has_word(flags, "nonstop_tsc");
  using Clock = std::chrono::steady_clock;
  const auto from = Clock::now();
  const auto ticks = __rdtsc();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto span = __rdtsc() - ticks;
  const std::chrono::duration<double> took = Clock::now() - from;
  report.push_back(
      {"TSC", invariant ? State::good : State::note,
       fmt::format("{:.3f} GHz measured, {}", static_cast<double>(span) / took.count() / 1e9,
                   invariant ? "invariant" : "not invariant: times may drift with the frequency")});
}

} // namespace tern::app::doctor
