// Fragments put together (RFC 791 §3.2, RFC 8200 §4.5), in bounds: so many datagrams, so many fragments of
// each, so much memory, so long. Not rte_ip_frag: that takes 8 fragments a datagram, and does not see that
// they overlap.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/ip.hpp"
#include "base/siphash.hpp"
#include "base/time.hpp"
#include "net/classify.hpp"
#include "packet/packet.hpp"

namespace tern::net {

struct ReassemblySettings {
  std::uint16_t datagrams = 64;       // at once; the oldest gives way
  std::uint32_t memory = 1024 * 1024; // whole buffers, of all of them
};

class Reassembly {
 public:
  // Differs: RFC 1122 §3.3.2 and RFC 8200 §4.5: 30 s, not 60, as Linux; identifications of 16 bits come again
  // sooner than that.
  static constexpr Duration patience = Duration::seconds(30);
  static constexpr std::size_t most_fragments = 48; // of one datagram: 65,535 bytes over a link of 1,500

  Reassembly(const ReassemblySettings& settings, SipKey key);

  enum class Outcome : std::uint8_t {
    kept,      // others are missing
    whole,     // the packet is the datagram now: a frame with one IP header and no sign of fragments
    duplicate, // said nothing new
    refused,   // overlaps another, or does not fit: the datagram is forgotten
    evicted,   // kept, and an older datagram had to go
  };
  // `p` is a fragment by classify; it is taken, or freed, unless it is `whole` now.
  [[nodiscard]] Outcome add(Packet& p, const Classified& c, Instant now, const PacketPool& pool);

  // Forgets what waited too long; how many. `tell` gets the first fragment of each, if it came: the source is
  // to be told (RFC 1122 §3.3.2).
  template <class Tell>
  unsigned expire(Instant now, Tell&& tell) {
    unsigned n = 0;
    for (Datagram& d : all_) {
      if (!d.used || now < d.deadline) continue;
      if (!d.refused) {
        ++n;
        if (d.count != 0 && d.pieces[0].from == 0) tell(std::move(d.pieces[0].packet), !d.key.src.is_v4());
      }
      forget(d);
    }
    return n;
  }
  // Lets go of every fragment that it holds; how many. What was refused stays so.
  unsigned forget_all() {
    unsigned n = 0;
    for (Datagram& d : all_) {
      if (!d.used || d.refused) continue;
      n += d.count;
      forget(d);
    }
    return n;
  }
  [[nodiscard]] std::uint32_t held() const { return held_; } // bytes that it pins

 private:
  // One fragment: bytes [from, to) of what was cut up.
  struct Piece {
    Packet packet; // the first with its headers, the others without
    std::uint16_t from = 0;
    std::uint16_t to = 0;
  };
  struct Key {
    Ip src;
    Ip dst;
    std::uint32_t id = 0;
    std::uint8_t protocol = 0; // IPv4 (RFC 791); IPv6 tells datagrams apart without it
    bool operator==(const Key&) const = default;
  };
  struct Datagram {
    Key key;
    bool used = false;
    bool refused = false; // whatever else comes of it is dropped too (RFC 5722), until its time is over
    bool end_known = false;
    std::uint8_t ecn_seen = 0; // a bit for each of the four codes
    std::uint16_t count = 0;
    std::uint16_t end = 0; // bytes in all, once the last fragment was seen
    std::uint32_t bytes = 0;
    std::uint32_t truesize = 0;
    Instant deadline;
    std::array<Piece, most_fragments> pieces; // in order
  };
  struct Arrival { // a fragment, read
    Key key;
    std::uint16_t from = 0;
    std::uint16_t to = 0;
    bool more = false;
    std::uint8_t ecn = 0;
  };

  [[nodiscard]] static bool read(const Packet& p, const Classified& c, Arrival& out);
  [[nodiscard]] std::uint32_t hash_of(const Key& k) const;
  [[nodiscard]] Datagram* find(const Key& k, std::uint32_t hash);
  [[nodiscard]] Datagram& take(const Key& k, std::uint32_t hash, Instant now, bool& evicted);
  [[nodiscard]] Outcome insert(Datagram& d, const Arrival& a, Packet& p, const Classified& c);
  [[nodiscard]] bool join(Datagram& d, Packet& whole, const PacketPool& pool);
  void refuse(Datagram& d);
  void release(Datagram& d);
  void forget(Datagram& d) {
    release(d);
    d.used = false;
  }
  [[nodiscard]] Datagram* oldest_but(const Datagram* d);

  SipKey key_;
  std::uint32_t memory_;
  std::uint32_t held_ = 0;
  std::vector<Datagram> all_;
  std::vector<std::uint32_t> hashes_; // beside them: a search reads four bytes a datagram
};

} // namespace tern::net
