#include "runtime/key_file.hpp"

#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "runtime/settings/error.hpp"

namespace tern {

SipKey read_key_file(const std::string& path) {
  const auto refuse = [&](const std::string& why) { throw settings::ConfigError(path, why); };
  const std::string cure = "; make it with: (umask 077; openssl rand -hex 16 > " + path + ")";
  struct stat about {};
  std::ifstream in(path, std::ios::binary);
  if (!in || stat(path.c_str(), &about) != 0)
    refuse("cannot be read (" + std::string(std::strerror(errno)) + ")" + cure);
  if ((about.st_mode & 077) != 0)
    refuse("can be read by others than its owner, and is a secret; run: chmod 600 " + path);
  std::ostringstream text;
  text << in.rdbuf();
  std::uint64_t half[2] = {0, 0};
  std::size_t digits = 0;
  for (const char c : text.str()) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isspace(u) != 0) continue;
    if (std::isxdigit(u) == 0 || digits == 32) refuse("is not 32 hex digits" + cure);
    const int value = std::isdigit(u) != 0 ? c - '0' : std::tolower(u) - 'a' + 10;
    half[digits / 16] = half[digits / 16] << 4 | static_cast<std::uint64_t>(value);
    ++digits;
  }
  if (digits != 32) refuse("has " + std::to_string(digits) + " hex digits, not 32" + cure);
  return {half[0], half[1]};
}

} // namespace tern
