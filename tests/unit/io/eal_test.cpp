#include "io/eal.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>

#include <filesystem>
#include <fstream>

#include "io/error.hpp"

namespace tern::io {
namespace eal_test {

bool has(const EalChoice& c, const std::string& word) {
  return std::find(c.arguments.begin(), c.arguments.end(), word) != c.arguments.end();
}

TEST(EalChoice, WithoutHugePagesNamesItsMemoryAndSaysWhatItCosts) {
  EalSettings s;
  s.memory_mb = 300;
  const EalChoice c = choose_eal(s, {});
  EXPECT_FALSE(c.huge);
  EXPECT_TRUE(has(c, "--no-huge") && has(c, "--no-shconf") && has(c, "-m") && has(c, "300") &&
              has(c, "--no-pci"));
  EXPECT_FALSE(has(c, "--in-memory")); // together with --no-huge it aborts
  EXPECT_NE(c.note.find("slower"), std::string::npos);
}

TEST(EalChoice, WithEnoughHugePagesTakesThem) {
  EalSettings s;
  s.memory_mb = 300;
  const EalChoice c = choose_eal(s, {std::uint64_t{300} << 20, 2 << 20});
  EXPECT_TRUE(c.huge && has(c, "--in-memory") && has(c, "--single-file-segments"));
  EXPECT_FALSE(has(c, "--no-huge"));
  EXPECT_TRUE(c.note.empty());
  s.huge_pages = HugePages::never;
  EXPECT_TRUE(has(choose_eal(s, {std::uint64_t{300} << 20, 2 << 20}), "--no-huge"));
}

TEST(EalChoice, TooFewRequiredHugePagesAreAnErrorWithItsCure) {
  EalSettings s;
  s.memory_mb = 300;
  s.huge_pages = HugePages::required;
  try {
    (void)choose_eal(s, {std::uint64_t{10} << 20, 2 << 20});
    FAIL();
  } catch (const HugePagesError& e) {
    EXPECT_NE(std::string(e.what()).find("echo 150 > /proc/sys/vm/nr_hugepages"), std::string::npos)
        << e.what();
  }
}

TEST(EalChoice, WorkersArePinnedAndDevicesAllowed) {
  EalSettings s;
  s.cores = {1, 0};
  s.devices = {"0000:03:00.0"};
  const EalChoice c = choose_eal(s, {});
  EXPECT_FALSE(has(c, "--no-pci"));
  EXPECT_TRUE(has(c, "-a") && has(c, "0000:03:00.0"));
  const auto lcores = std::find(c.arguments.begin(), c.arguments.end(), "--lcores") + 1;
  EXPECT_EQ(lcores->substr(0, 3), "0@(");
  EXPECT_NE(lcores->find("),1@1,2@0"), std::string::npos) << *lcores;
}

TEST(HugePages, FreePagesOfEverySizeAreSummed) {
  const auto dir = std::filesystem::temp_directory_path() / ("tern-huge-" + std::to_string(getpid()));
  for (const auto& [size, free] : {std::pair{"hugepages-2048kB", 5}, std::pair{"hugepages-1048576kB", 1}}) {
    std::filesystem::create_directories(dir / size);
    std::ofstream(dir / size / "free_hugepages") << free << "\n";
  }
  const HugePageState s = read_huge_pages(dir.string());
  std::filesystem::remove_all(dir);
  EXPECT_EQ(s.free_bytes, 5 * (2ULL << 20) + (1ULL << 30));
  EXPECT_EQ(s.page_bytes, 1ULL << 30);
  EXPECT_EQ(read_huge_pages("/nonexistent").free_bytes, 0U);
}

TEST(PciAddress, IsToldFromAVdev) {
  EXPECT_TRUE(is_pci_address("0000:03:00.0"));
  EXPECT_TRUE(is_pci_address("03:00.1"));
  EXPECT_TRUE(is_pci_address("0000:03:00.0,mprq_en=1"));
  for (const char* no : {"net_tap0", "net_tap0,iface=a:b", "", "0000:03:00", "0000:03:00.0.0", "g3:00.0"})
    EXPECT_FALSE(is_pci_address(no)) << no;
}

TEST(DeviceName, IsWhatDpdkCallsIt) {
  for (const char* port : {"0000:03:0a.0", "03:0a.0", "03:0A.0,mprq_en=1", "00000000:03:0A.0"})
    EXPECT_EQ(device_name(port), "0000:03:0a.0") << port;
  EXPECT_EQ(device_name("abcd:03:00.1"), "abcd:03:00.1");
  EXPECT_EQ(device_name("net_tapA,iface=x"), "net_tapA"); // others are told apart by every letter
}

} // namespace eal_test
} // namespace tern::io
