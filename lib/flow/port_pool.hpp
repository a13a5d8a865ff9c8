// Local ports for active opens, drawn so that the reply comes to the core that drew them.
//
// The owner of a connection is reta[toeplitz(reply) % size]. Toeplitz is linear: the hash of a tuple is the
// XOR of what each of its fields contributes. So the ports are tabled once by what they contribute to the
// RETA's index, and for
//
//   index  =  remote address ^ remote port  ^  local address  ^  local port
//             once a cursor                    a few loads        the unknown: index ^ the others
//
// any index that this core owns names a list of ports. No search, no NIC rule, and no state for each source:
// the flow table itself tells whether a tuple is taken. Where the range is so narrow that most lists are empty,
// the ports themselves are gone through, and each is asked whether it leads here: one in so many cores does.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/counters.hpp"
#include "base/endian.hpp"
#include "base/ip.hpp"
#include "wire/toeplitz.hpp"

namespace tern {

struct PortRange {
  std::uint16_t first = 1024;
  std::uint16_t last = 65535;
};

// All ports of the range by their share of the hash, for one RSS key. Made at start-up, shared by all cores.
class PortTable {
 public:
  // `reta_size`: a power of two up to 65,536, else std::invalid_argument. `seed` sets the order in which the
  // ports of a list are drawn.
  PortTable(const wire::Toeplitz& toeplitz, std::uint32_t reta_size, PortRange range, std::uint64_t seed);

  // Whether every index of the RETA can be reached from any tuple. If not (a key with a short period, a
  // narrow range of ports), some draws can't be had: a caller with several cores takes another key, and
  // steers in software.
  [[nodiscard]] bool spans(bool v4) const { return half(v4).shortest > 0; }
  [[nodiscard]] std::uint32_t reta_size() const { return mask_ + 1; }
  [[nodiscard]] std::uint32_t ports() const { return static_cast<std::uint32_t>(half(true).ports.size()); }

 private:
  friend class PortPool;

  using ByteShares = std::array<std::array<std::uint16_t, 256>, 16>;
  struct Half { // the ports stand elsewhere in an IPv6 tuple, so each family has its own
    std::vector<std::uint16_t> ports; // list after list
    std::vector<std::uint16_t> share; // of each of these: the number of its list
    std::vector<std::uint32_t> begin; // of each list; one more at the end
    ByteShares local{};               // what each byte of a local address contributes
    std::uint32_t shortest = 0;       // list
    std::uint32_t longest = 0;
  };
  [[nodiscard]] const Half& half(bool v4) const { return halves_[v4 ? 0 : 1]; }

  wire::Toeplitz toeplitz_;
  std::array<Half, 2> halves_;
  std::uint32_t mask_;
};

// The addresses that a core opens connections from: blocks of neighbours, all of one family.
class Sources {
 public:
  struct Block {
    Ip first;
    std::uint32_t low = 0; // the last 32 bits of `first`
    std::uint32_t count = 0;
    std::uint32_t before = 0; // sources in the blocks before
    bool v4 = false;
    [[nodiscard]] Ip at(std::uint32_t i) const {
      auto words =
          std::bit_cast<std::array<std::uint64_t, 2>>(first.bytes()); // in registers: no store to wait for
      words[1] = (words[1] & 0xffff'ffff) | std::uint64_t{byteswap(low + i)} << 32;
      return Ip{std::bit_cast<Ip::Bytes>(words)};
    }
  };
  // std::invalid_argument if it is empty, of another family, or runs over the end of the last 32 bits.
  void add(Ip first, std::uint32_t count);

  [[nodiscard]] std::span<const Block> blocks() const { return blocks_; }
  [[nodiscard]] std::uint32_t count() const {
    return blocks_.empty() ? 0 : blocks_.back().before + blocks_.back().count;
  }

 private:
  std::vector<Block> blocks_;
};

// Where a core stands with one remote. Draws go through all sources with one port, then through all with the
// next: each pair comes again only after every other one, so ports recycle first in, first out, and rest as
// long as can be.
struct PortCursor {
  std::uint32_t block = 0;    // the next source
  std::uint32_t source = 0;   // within the block
  std::uint32_t position = 0; // in the lists; or among all ports
  std::uint16_t entry = 0;    // of those that this core owns in the RETA: the list's, where it goes by lists
  std::uint16_t remote = 0;   // the remote's share of the hash
};
static_assert(sizeof(PortCursor) == 16);

// A port and a source; the address is made when it is asked for.
struct PortDraw {
  const Sources::Block* block = nullptr;
  std::uint32_t offset = 0; // within the block
  Port port;
  [[nodiscard]] std::uint32_t source() const { return block->before + offset; } // its number in Sources
  [[nodiscard]] Endpoint local() const { return {block->at(offset), port}; }
};

enum class PortCount : std::uint8_t {
  free,  // candidates that were free: each ended a draw, whether or not its connection could then be opened
  taken, // and those that were in use
  exhausted, // draws that found nothing within their tries
  count_
};

// One a core.
class PortPool {
 public:
  static constexpr unsigned default_tries = 16;

  // `owners`: the RETA, as the core that each entry leads to. Where `core` owns all of it, any port will do.
  PortPool(const PortTable& table, std::span<const std::uint16_t> owners, std::uint16_t core);

  // A cursor for a remote; where it starts among the ports comes from `seed`.
  [[nodiscard]] PortCursor cursor(Endpoint remote, std::uint64_t seed) const;

  // The next source and port to try, whether taken or not, so that a burst of opens can prefetch its probes.
  // No value where this list has run out before the longest, or this port leads elsewhere: just go on.
  [[nodiscard]] std::optional<PortDraw> next(PortCursor& at, const Sources& sources) const {
    const Sources::Block& block = sources.blocks()[at.block];
    const PortTable::Half& half = table_->half(block.v4);
    std::optional<PortDraw> found;
    if (way(block.v4).by_port) {
      if (any_ || mine_[half.share[at.position] ^ at.remote ^ share_of_source(half.local, block, at.source)])
        found = PortDraw{&block, at.source, Port{half.ports[at.position]}};
    } else {
      const std::uint32_t wanted =
          entries_[at.entry] ^ at.remote ^ share_of_source(half.local, block, at.source);
      const std::uint32_t begin = half.begin[wanted];
      if (begin + at.position < half.begin[wanted + 1])
        found = PortDraw{&block, at.source, Port{half.ports[begin + at.position]}};
    }
    if (++at.source == block.count) [[unlikely]]
      next_block(at, sources, half);
    return found;
  }

  // The next one of which `taken(const PortDraw&)` says no: that is, the flow table has no such connection,
  // or one in TIME_WAIT that may be used again. No value: `tries` of them were taken. The next draw goes on
  // from there, so that a long run of connections that live long is passed in time; when all ports are in
  // use, it is the caller who waits.
  template <class Taken>
  [[nodiscard]] std::optional<PortDraw> draw(PortCursor& at, const Sources& sources, Taken&& taken,
                                             unsigned tries = default_tries) {
    for (unsigned steps = way(sources.blocks()[at.block].v4).steps * tries; tries > 0 && steps > 0; --steps) {
      const std::optional<PortDraw> found = next(at, sources);
      if (!found) continue;
      if (!taken(*found)) [[likely]] {
        counts_.add(PortCount::free);
        return found;
      }
      counts_.add(PortCount::taken);
      --tries;
    }
    counts_.add(PortCount::exhausted);
    return std::nullopt;
  }

  // How many ports this core has from `local` to the cursor's remote. For reports: it walks the RETA.
  [[nodiscard]] std::uint32_t ports_from(const PortCursor& at, Ip local) const;
  [[nodiscard]] const Counters<PortCount>& counts() const { return counts_; }

 private:
  static std::uint32_t share_of_source(const PortTable::ByteShares& of, const Sources::Block& block,
                                       std::uint32_t offset) {
    const std::uint32_t low = block.low + offset;
    std::uint32_t x =
        of[12][low >> 24] ^ of[13][low >> 16 & 0xff] ^ of[14][low >> 8 & 0xff] ^ of[15][low & 0xff];
    for (std::size_t i = 0; i < 12 && !block.v4; ++i) x ^= of[i][block.first.bytes()[i]];
    return x;
  }
  void next_block(PortCursor& at, const Sources& sources, const PortTable::Half& half) const {
    at.source = 0;
    if (++at.block < sources.blocks().size()) return;
    at.block = 0;
    const bool by_port = way(sources.blocks()[0].v4).by_port;
    if (!by_port) {
      if (++at.entry < entries_.size()) return;
      at.entry = 0;
    }
    const auto end = by_port ? static_cast<std::uint32_t>(half.ports.size()) : half.longest;
    if (++at.position == end) at.position = 0;
  }

  // How the ports are gone through, whichever of the two finds more, and how many steps a try may take.
  struct Way {
    bool by_port = false;
    unsigned steps = 0;
  };
  [[nodiscard]] const Way& way(bool v4) const { return ways_[v4 ? 0 : 1]; }
  [[nodiscard]] static Way way_of(const PortTable::Half& half, std::size_t mine, std::size_t all);

  const PortTable* table_;
  std::vector<std::uint16_t> entries_; // of the RETA, that lead to this core
  std::vector<bool> mine_;             // the RETA: whether an entry is one of these
  std::array<Way, 2> ways_;
  bool any_; // every port leads here
  Counters<PortCount> counts_;
};

} // namespace tern
