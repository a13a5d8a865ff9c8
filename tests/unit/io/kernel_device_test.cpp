#include "io/kernel_device.hpp"

#include <gtest/gtest.h>

namespace tern::io {

TEST(KernelDevice, IsWhatTheVdevStringNames) {
  EXPECT_EQ(kernel_device_of("net_af_packet0,iface=tern0", "net_af_packet"), "tern0");
  EXPECT_EQ(kernel_device_of("net_af_packet0,qpairs=2,iface=tern0,framesz=4096", "net_af_packet"), "tern0");
  EXPECT_EQ(kernel_device_of("net_af_xdp0,iface=eth1", "net_af_xdp"), "eth1");
  EXPECT_EQ(kernel_device_of("net_af_packet0", "net_af_packet"), "");
}

TEST(KernelDevice, IsNotAskedWhereTheDriverKnowsTheLink) {
  EXPECT_EQ(kernel_device_of("net_tap0,iface=tern0", "net_tap"), "");
  EXPECT_EQ(kernel_device_of("0000:01:00.0", "net_ixgbe"), "");
}

TEST(KernelDevice, ThatIsNotThereHasNoLink) {
  EXPECT_FALSE(kernel_link_up("tern-nowhere0"));
  EXPECT_FALSE(kernel_link_up("a name that is longer than any the kernel takes"));
}

} // namespace tern::io
