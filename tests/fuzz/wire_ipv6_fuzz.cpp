#include <algorithm>

#include "fuzz.hpp"
#include "wire/ipv6.hpp"

using namespace tern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  wire::Ipv6 h;
  (void)wire::parse_quoted_ipv6(in.span(), h);
  (void)wire::parse_ipv6(in.span(), 65575, h); // the first piece of a chain
  if (wire::parse_ipv6(in.span(), h) != wire::Verdict::ok) return 0;
  TERN_CHECK(h.header_length <= 40U + h.payload_length && 40U + h.payload_length <= size);
  fuzz::Exact out(wire::emitted_length(h));
  TERN_CHECK(wire::emit_ipv6(h, out.data()) == h.header_length);
  TERN_CHECK(std::ranges::equal(out.span(), in.span().first(h.header_length)));
  wire::Ipv6 back;
  TERN_CHECK(wire::parse_ipv6(out.span(), 40U + h.payload_length, back) == wire::Verdict::ok);
  TERN_CHECK(back == h);
  return 0;
}
