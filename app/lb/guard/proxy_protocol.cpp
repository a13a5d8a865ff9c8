#include "app/lb/guard/proxy_protocol.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <string_view>

namespace tern::app::lb {
namespace {

class Writer {
 public:
  explicit Writer(ProxyHeader& out) : out_(out) {}
  void bytes(const void* from, std::size_t n) {
    TERN_CHECK(n <= out_.size() - used_);
    std::memcpy(out_.data() + used_, from, n);
    used_ += n;
  }
  void text(std::string_view s) { bytes(s.data(), s.size()); }
  void u8(unsigned v) {
    const auto b = static_cast<std::uint8_t>(v);
    bytes(&b, 1);
  }
  void u16(unsigned v) { u8(v >> 8), u8(v & 0xff); }
  [[nodiscard]] std::span<const std::byte> done() const { return {out_.data(), used_}; }

 private:
  ProxyHeader& out_;
  std::size_t used_ = 0;
};

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};

// In v1 both addresses are of one family. Both are, of one connection; should they not be, a mapped address
// says it.
void address(Writer& w, const Ip& ip, bool v4) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(v4 ? AF_INET : AF_INET6, ip.bytes().data() + (v4 ? 12 : 0), text, sizeof text);
  w.text(text);
}

void number(Writer& w, unsigned v) {
  char text[8];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  w.text({text, static_cast<std::size_t>(end - text)});
}

void version1(Writer& w, const Endpoint& client, const Endpoint& service, bool v4) {
  w.text(v4 ? "PROXY TCP4 " : "PROXY TCP6 ");
  address(w, client.ip, v4);
  w.text(" ");
  address(w, service.ip, v4);
  w.text(" ");
  number(w, client.port.raw());
  w.text(" ");
  number(w, service.port.raw());
  w.text("\r\n");
}

void version2(Writer& w, const Endpoint& client, const Endpoint& service, bool v4) {
  const std::size_t size = v4 ? 4 : 16;
  w.text(signature);
  w.u8(0x21);             // version 2, PROXY
  w.u8(v4 ? 0x11 : 0x21); // TCP over IPv4, over IPv6
  w.u16(static_cast<unsigned>(2 * size + 4));
  w.bytes(client.ip.bytes().data() + 16 - size, size);
  w.bytes(service.ip.bytes().data() + 16 - size, size);
  w.u16(client.port.raw());
  w.u16(service.port.raw());
}

} // namespace

std::span<const std::byte> proxy_header(ProxyProtocol kind, const Endpoint& client, const Endpoint& service,
                                        ProxyHeader& out) {
  Writer w{out};
  const bool v4 = client.ip.is_v4() && service.ip.is_v4();
  if (kind == ProxyProtocol::v1) version1(w, client, service, v4);
  if (kind == ProxyProtocol::v2) version2(w, client, service, v4);
  return w.done();
}

std::span<const std::byte> proxy_header_local(ProxyProtocol kind, ProxyHeader& out) {
  Writer w{out};
  if (kind == ProxyProtocol::v1) w.text("PROXY UNKNOWN\r\n");
  if (kind == ProxyProtocol::v2) {
    w.text(signature);
    w.u8(0x20); // version 2, LOCAL
    w.u8(0x00);
    w.u16(0);
  }
  return w.done();
}

} // namespace tern::app::lb
