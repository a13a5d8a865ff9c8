#include "flow/port_pool.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>

#include "base/check.hpp"

namespace tern {

PortTable::PortTable(const wire::Toeplitz& toeplitz, std::uint32_t reta_size, PortRange range,
                     std::uint64_t seed)
    : toeplitz_(toeplitz), mask_(reta_size - 1) {
  if (!std::has_single_bit(reta_size) || reta_size > 65536)
    throw std::invalid_argument("a RETA's size is a power of two up to 65536, not " +
                                std::to_string(reta_size));
  if (range.first == 0 || range.first > range.last)
    throw std::invalid_argument("no range of ports: " + std::to_string(range.first) + "-" +
                                std::to_string(range.last));
  std::mt19937_64 rng(seed);
  for (const bool v4 : {true, false}) {
    Half& h = halves_[v4 ? 0 : 1];
    const auto zero = v4 ? Ip{Ip4{}} : Ip{};
    for (std::size_t i = v4 ? 12 : 0; i < 16; ++i)
      for (unsigned b = 0; b < 256; ++b) {
        Ip::Bytes local = zero.bytes();
        local[i] = static_cast<std::uint8_t>(b);
        h.local[i][b] = static_cast<std::uint16_t>(toeplitz.hash(zero, Ip{local}) & mask_);
      }
    const auto list_of = [&](std::uint32_t p) {
      return toeplitz.dst_port_contribution(Port{static_cast<std::uint16_t>(p)}, v4) & mask_;
    };
    h.begin.assign(std::size_t{reta_size} + 1, 0);
    for (std::uint32_t p = range.first; p <= range.last; ++p) ++h.begin[list_of(p) + 1];
    h.shortest = *std::min_element(h.begin.begin() + 1, h.begin.end());
    h.longest = *std::max_element(h.begin.begin() + 1, h.begin.end());
    std::partial_sum(h.begin.begin(), h.begin.end(), h.begin.begin());
    h.ports.resize(std::size_t{range.last} - range.first + 1);
    std::vector<std::uint32_t> fill(h.begin.begin(), h.begin.end() - 1);
    for (std::uint32_t p = range.first; p <= range.last; ++p)
      h.ports[fill[list_of(p)]++] = static_cast<std::uint16_t>(p);
    h.share.resize(h.ports.size());
    for (std::uint32_t l = 0; l < reta_size; ++l) {
      std::shuffle(h.ports.begin() + h.begin[l], h.ports.begin() + h.begin[l + 1], rng);
      std::fill(h.share.begin() + h.begin[l], h.share.begin() + h.begin[l + 1],
                static_cast<std::uint16_t>(l));
    }
  }
}

void Sources::add(Ip first, std::uint32_t count) {
  const auto low = load_be<std::uint32_t>(first.bytes().data() + 12);
  if (count == 0 || std::uint64_t{low} + count > std::uint64_t{1} << 32)
    throw std::invalid_argument("no block of sources: " + first.to_string());
  if (!blocks_.empty() && blocks_[0].first.is_v4() != first.is_v4())
    throw std::invalid_argument("sources of both families: " + first.to_string());
  blocks_.push_back({first, low, count, this->count(), first.is_v4()});
}

PortPool::PortPool(const PortTable& table, std::span<const std::uint16_t> owners, std::uint16_t core)
    : table_(&table), mine_(owners.size()) {
  TERN_CHECK(owners.size() == table.reta_size());
  for (std::size_t i = 0; i < owners.size(); ++i)
    if (owners[i] == core) {
      entries_.push_back(static_cast<std::uint16_t>(i));
      mine_[i] = true;
    }
  TERN_CHECK(!entries_.empty());
  any_ = entries_.size() == owners.size();
  for (const bool v4 : {true, false})
    ways_[v4 ? 0 : 1] = way_of(table.half(v4), entries_.size(), owners.size());
}

// Of all places in lists of the longest's length so many hold a port; of all ports so many lead here.
PortPool::Way PortPool::way_of(const PortTable::Half& half, std::size_t mine, std::size_t all) {
  const double in_lists =
      static_cast<double>(half.ports.size()) / (static_cast<double>(half.longest) * static_cast<double>(all));
  const double of_ports = static_cast<double>(mine) / static_cast<double>(all);
  constexpr double chances = 4; // of finding one, in each try
  return {of_ports >= in_lists, static_cast<unsigned>(std::ceil(chances / std::max(of_ports, in_lists)))};
}

PortCursor PortPool::cursor(Endpoint remote, std::uint64_t seed) const {
  const bool v4 = remote.ip.is_v4();
  const PortTable::Half& half = table_->half(v4);
  PortCursor at;
  const Ip zero = v4 ? Ip{Ip4{}} : Ip{};
  at.remote = static_cast<std::uint16_t>(table_->toeplitz_.hash(remote.ip, zero, remote.port, Port{}) &
                                         table_->mask_);
  std::mt19937_64 rng(seed);
  at.position = static_cast<std::uint32_t>(rng() % (way(v4).by_port ? half.ports.size() : half.longest));
  at.entry = static_cast<std::uint16_t>(rng() % entries_.size());
  return at;
}

std::uint32_t PortPool::ports_from(const PortCursor& at, Ip local) const {
  const bool v4 = local.is_v4();
  const PortTable::Half& half = table_->half(v4);
  if (any_) return static_cast<std::uint32_t>(half.ports.size());
  const Sources::Block block{local, load_be<std::uint32_t>(local.bytes().data() + 12), 1, 0, v4};
  std::uint32_t n = 0;
  for (const std::uint32_t e : entries_) {
    const std::uint32_t wanted = e ^ at.remote ^ share_of_source(half.local, block, 0);
    n += half.begin[wanted + 1] - half.begin[wanted];
  }
  return n;
}

} // namespace tern
