#include "io/steering.hpp"

#include "base/check.hpp"

namespace tern::io {

Steering Steering::by_port(const RssView& rss, CoreId cores) {
  std::vector<CoreId> owners(rss.reta.begin(), rss.reta.end());
  for (const CoreId o : owners) TERN_CHECK(o < cores);
  return {wire::Toeplitz::key_from(rss.key), std::move(owners), cores, true};
}

Steering Steering::by_software(std::span<const std::uint8_t> key, CoreId cores) {
  constexpr std::size_t entries = 512; // as many as large NICs have: cores' shares differ by 1 in 512
  std::vector<CoreId> owners(cores == 1 ? 1 : entries);
  for (std::size_t i = 0; i < owners.size(); ++i) owners[i] = static_cast<CoreId>(i % cores);
  return {wire::Toeplitz::key_from(key), std::move(owners), cores, false};
}

} // namespace tern::io
