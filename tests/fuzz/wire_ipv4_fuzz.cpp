#include "fuzz.hpp"
#include "wire/ipv4.hpp"

using namespace tern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  wire::Ipv4 h;
  // The chain goes on behind the first piece, as far as IPv4 can.
  (void)wire::parse_ipv4(in.span(), 65535, h);
  if (wire::parse_ipv4(in.span(), h) != wire::Verdict::ok) return 0;
  TERN_CHECK(h.header_length <= h.total_length && h.total_length <= size);
  (void)wire::ipv4_checksum_ok(in.span(), h);
  fuzz::Exact out(wire::emitted_length(h));
  TERN_CHECK(wire::emit_ipv4(h, out.data()) == h.header_length);
  wire::Ipv4 back;
  TERN_CHECK(wire::parse_ipv4(out.span(), h.total_length, back) == wire::Verdict::ok);
  TERN_CHECK(back == h && wire::ipv4_checksum_ok(out.span(), back));
  return 0;
}
