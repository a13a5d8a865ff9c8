// A network device of the kernel's, under the ports whose drivers know nothing of its link (net_af_packet, net_af_xdp).
#pragma once

#include <string>
#include <string_view>

namespace tern::io {

// The device that a vdev string names as its own, "iface=…"; empty if the driver tells of the link itself.
[[nodiscard]] std::string kernel_device_of(std::string_view port, std::string_view driver);

// Up, with somebody at the cable's other end. False as well for a device that is there no more.
[[nodiscard]] bool kernel_link_up(const std::string& device);

// False only where the kernel says that there is none of that name.
[[nodiscard]] bool kernel_device_exists(const std::string& device);

} // namespace tern::io
