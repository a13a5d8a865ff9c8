#include "fuzz.hpp"
#include "wire/checksum.hpp"
#include "wire/icmp.hpp"
#include "wire/ipv6.hpp"

using namespace tern;

namespace {

const Ip src = Ip::parse("fe80::1").value();
const Ip dst = Ip::parse("ff02::1:ff00:1").value();

void check_round_trip(wire::Icmpv6& was) {
  const bool neighbour = was.kind == wire::Icmpv6Kind::neighbour;
  fuzz::Exact out(neighbour ? wire::emitted_length(was.neighbour) : wire::emitted_length(was.message));
  const std::size_t n = neighbour ? wire::emit_neighbour(was.neighbour, src, dst, out.data())
                                  : wire::emit_icmpv6(was.message, src, dst, out.data());
  TERN_CHECK(n == out.span().size());
  wire::Icmpv6 back;
  TERN_CHECK(wire::parse_icmpv6(out.span(), src, dst, 255, back) == wire::Verdict::ok &&
             back.kind == was.kind);
  TERN_CHECK(neighbour ? back.neighbour == was.neighbour : back.message == was.message);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  wire::QuotedTcp quoted;
  (void)wire::parse_quoted_v6(in.span(), quoted);
  wire::Icmpv6 m;
  (void)wire::parse_icmpv6(in.span(), src, dst, 255, m);
  if (size < 4) return 0;
  store_be<std::uint16_t>(in.data() + 2, 0);
  const auto pseudo =
      wire::pseudo_sum_v6(src, dst, wire::ip_protocol::icmpv6, static_cast<std::uint32_t>(size));
  store_be(in.data() + 2, wire::finish(pseudo + wire::sum_bytes(in.span())).host());
  if (wire::parse_icmpv6(in.span(), src, dst, 255, m) != wire::Verdict::ok) return 0;
  if (m.kind == wire::Icmpv6Kind::message) {
    fuzz::Exact body(m.message.body);
    (void)wire::parse_quoted_v6(body.span(), quoted);
  }
  check_round_trip(m);
  return 0;
}
