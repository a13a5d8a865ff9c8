#include <string_view>

#include "base/ip.hpp"
#include "fuzz.hpp"

using namespace tern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  const std::string_view text{reinterpret_cast<const char*>(in.data()), size};
  if (const auto ip = Ip::parse(text)) TERN_CHECK(Ip::parse(ip->to_string()) == ip);
  if (const auto prefix = Prefix::parse(text)) {
    TERN_CHECK(prefix->contains(prefix->base()));
    TERN_CHECK(Prefix::parse(prefix->to_string()) == prefix);
  }
  if (const auto end = Endpoint::parse(text)) TERN_CHECK(Endpoint::parse(end->to_string()) == end);
  return 0;
}
