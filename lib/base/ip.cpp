#include "base/ip.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/endian.hpp"

namespace tern {
namespace {

template <class T>
std::optional<T> parse_number(std::string_view text, T max) {
  T v{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc{} || end != text.data() + text.size() || v > max) return std::nullopt;
  return v;
}

} // namespace

std::optional<Ip> Ip::parse(std::string_view text) {
  if (text.find('\0') != text.npos) return std::nullopt; // inet_pton would stop there and like what it saw
  const std::string z(text);
  in_addr four{};
  if (inet_pton(AF_INET, z.c_str(), &four) == 1) return Ip{Ip4{Be32::from_raw(four.s_addr)}};
  Bytes six{};
  if (inet_pton(AF_INET6, z.c_str(), six.data()) == 1) return Ip{six};
  return std::nullopt;
}

std::string Ip::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4())
    inet_ntop(AF_INET, b_.data() + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, b_.data(), text, sizeof text);
  return text;
}

Ip Prefix::at(std::uint32_t i) const {
  Ip::Bytes b = base_.bytes();
  const auto kept = [](int bits) -> std::uint64_t { // the first so many of a word
    return bits <= 0 ? 0 : ~std::uint64_t{0} << (64 - std::min(bits, 64));
  };
  const int bits = length_ + (base_.is_v4() ? 96 : 0);
  store_be(b.data(), load_be<std::uint64_t>(b.data()) & kept(bits));
  store_be(b.data() + 8, (load_be<std::uint64_t>(b.data() + 8) & kept(bits - 64)) + i);
  return Ip{b};
}

bool Prefix::contains(Ip ip) const {
  if (ip.is_v4() != base_.is_v4()) return false;
  const unsigned bits = length_ + (base_.is_v4() ? 96U : 0U);
  const std::size_t whole = bits / 8;
  if (std::memcmp(ip.bytes().data(), base_.bytes().data(), whole) != 0) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  return ((ip.bytes()[whole] ^ base_.bytes()[whole]) >> (8 - rest)) == 0;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto base = Ip::parse(text.substr(0, slash));
  if (!base) return std::nullopt;
  const std::uint8_t most = base->is_v4() ? 32 : 128;
  if (slash == std::string_view::npos) return Prefix{*base, most};
  const auto length = parse_number<std::uint8_t>(text.substr(slash + 1), most);
  if (!length) return std::nullopt;
  return Prefix{*base, *length};
}

std::string Prefix::to_string() const {
  return base_.to_string() + "/" + std::to_string(length_);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  std::string_view host;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  if (text.front() == '[') {
    if (colon < 2 || text[colon - 1] != ']') return std::nullopt;
    host = text.substr(1, colon - 2);
  } else {
    host = text.substr(0, colon);
    if (host.find(':') != std::string_view::npos) return std::nullopt; // "::1:80" says neither where it ends
  }
  const auto ip = Ip::parse(host);
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 65535);
  if (!ip || !port) return std::nullopt;
  return Endpoint{*ip, Port{*port}};
}

std::string Endpoint::to_string() const {
  std::string text = ip.to_string(); // appended to, because GCC 12 warns of "[" + text (its bug 105651)
  if (!ip.is_v4()) text.insert(text.begin(), '['), text += ']';
  return text += ':', text += std::to_string(port.raw());
}

} // namespace tern
