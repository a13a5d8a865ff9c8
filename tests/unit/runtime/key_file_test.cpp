// The key that machines share so that one finishes a handshake which another began.
#include "runtime/key_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/settings/error.hpp"

namespace tern {
namespace key_file_test {

struct KeyFile : testing::Test {
  KeyFile() : path(std::filesystem::temp_directory_path() / ("tern-key-" + std::to_string(getpid()))) {}
  ~KeyFile() override { std::filesystem::remove(path); }
  void write(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  // What is wrong with it; empty: nothing.
  std::string refused() {
    try {
      (void)read_key_file(path);
      return "";
    } catch (const settings::ConfigError& e) {
      return e.what();
    }
  }
  std::filesystem::path path;
};

TEST_F(KeyFile, Holds32HexDigitsHoweverTheyAreSpaced) {
  const SipKey key{0x0011'2233'4455'6677, 0x8899'aabb'ccdd'eeff};
  for (const char* text : {"00112233445566778899aabbccddeeff", "00112233445566778899AABBCCDDEEFF\n",
                           " 0011 2233 4455 6677\n8899 aabb ccdd eeff\r\n"}) {
    write(text);
    const SipKey read = read_key_file(path);
    EXPECT_EQ(read.k0, key.k0) << text;
    EXPECT_EQ(read.k1, key.k1) << text;
  }
}

TEST_F(KeyFile, IsRefusedWithTheCureWhereItIsNone) {
  EXPECT_NE(refused().find("openssl rand -hex 16"), std::string::npos) << "not there";
  for (const char* text : {"", "0011", "00112233445566778899aabbccddeef", "00112233445566778899aabbccddeeff0",
                           "0x112233445566778899aabbccddeeff00", "00112233445566778899aabbccddeefg"}) {
    write(text);
    EXPECT_NE(refused().find("openssl rand -hex 16"), std::string::npos) << text;
  }
}

TEST_F(KeyFile, ThatOthersMayReadIsNoSecret) {
  for (const mode_t mode : {0640U, 0604U, 0644U}) {
    write("00112233445566778899aabbccddeeff", mode);
    EXPECT_NE(refused().find("chmod 600"), std::string::npos) << mode;
  }
}

} // namespace key_file_test
} // namespace tern
