#include "io/kernel_device.hpp"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tern::io {

std::string kernel_device_of(std::string_view port, std::string_view driver) {
  if (driver != "net_af_packet" && driver != "net_af_xdp") return {};
  constexpr std::string_view key = ",iface=";
  const std::size_t at = port.find(key);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = port.substr(at + key.size());
  return std::string(rest.substr(0, rest.find(',')));
}

bool kernel_link_up(const std::string& device) {
  ifreq about{};
  if (device.size() >= sizeof about.ifr_name) return false;
  std::memcpy(about.ifr_name, device.data(), device.size());
  const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return true; // no descriptor to ask by: nothing is known against it
  const bool told = ioctl(s, SIOCGIFFLAGS, &about) == 0;
  close(s);
  return told && (about.ifr_flags & IFF_UP) != 0 && (about.ifr_flags & IFF_RUNNING) != 0;
}

bool kernel_device_exists(const std::string& device) {
  return if_nametoindex(device.c_str()) != 0 || errno != ENODEV;
}

} // namespace tern::io
