#include "io/wake.hpp"

#include <fcntl.h>
#include <linux/if_packet.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "io/descriptors.hpp"

namespace tern::io {
namespace {

int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// A net_af_packet queue's: bound to the device, with a ring of frames of the second version.
bool is_packet_queue(int fd, unsigned if_index) {
  sockaddr_ll where{};
  socklen_t size = sizeof where;
  return option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_PACKET &&
         option_of(fd, SOL_PACKET, PACKET_VERSION) == TPACKET_V2 &&
         getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) == 0 &&
         where.sll_ifindex == static_cast<int>(if_index);
}

// What a driver without interrupts says to being asked is no error of ours.
class QuietEthdev {
 public:
  QuietEthdev() { rte_log_set_level(static_cast<std::uint32_t>(type_), RTE_LOG_CRIT); }
  ~QuietEthdev() { rte_log_set_level(static_cast<std::uint32_t>(type_), static_cast<std::uint32_t>(level_)); }
  QuietEthdev(const QuietEthdev&) = delete;
  QuietEthdev& operator=(const QuietEthdev&) = delete;

 private:
  int type_ = rte_log_register("lib.ethdev");
  int level_ = rte_log_get_level(static_cast<std::uint32_t>(type_));
};

WakeDescriptors interrupts(std::uint16_t port, std::string_view driver, std::uint16_t queues) {
  const QuietEthdev quiet;
  WakeDescriptors w;
  for (std::uint16_t q = 0; q < queues; ++q) {
    const int fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port, q);
    if (fd < 0) return {};
    const bool arms = rte_eth_dev_rx_intr_enable(port, q) == 0;
    if (arms) {
      (void)rte_eth_dev_rx_intr_disable(port, q);
      (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    // net_tap's descriptors are the queues themselves, and there is nothing to arm.
    if (!arms && driver != "net_tap") return {};
    w.armed = arms;
    w.of_queue.push_back(fd);
  }
  return w;
}

} // namespace

WakeDescriptors find_wake_descriptors(std::uint16_t port, std::string_view driver, std::uint16_t queues) {
  WakeDescriptors w;
  rte_eth_dev_info info{};
  // In the order in which they were opened, which is that of the queues.
  if (driver == "net_af_packet" && rte_eth_dev_info_get(port, &info) == 0)
    w.of_queue = open_descriptors([&](int fd) { return is_packet_queue(fd, info.if_index); });
  else if (driver == "net_af_xdp")
    w.of_queue = open_descriptors([](int fd) { return option_of(fd, SOL_SOCKET, SO_DOMAIN) == AF_XDP; });
  else
    return interrupts(port, driver, queues);
  if (w.of_queue.size() != queues) w.of_queue.clear(); // others of the process's own are among them
  return w;
}

} // namespace tern::io
