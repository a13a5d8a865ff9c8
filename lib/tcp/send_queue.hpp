// The send queue: pieces of bytes from snd.una on. The first lies in the Tcb, so a connection that sends one
// response needs nothing else; what comes after it lies in blocks.
#pragma once

#include <cstdint>
#include <span>

#include "packet/packet.hpp"
#include "tcp/env.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp {

struct PieceBlock {
  static constexpr std::uint8_t most = 7;
  PieceBlock* next = nullptr;
  std::uint8_t begin = 0; // pieces [begin, end) are in use
  std::uint8_t end = 0;
  Piece pieces[most];
};
static_assert(sizeof(PieceBlock) == 128);

class SendQueue {
 public:
  PieceBlock* head = nullptr;
  PieceBlock* tail = nullptr;
  // Where the last read of new text ended, so that a long queue is not walked from its head for every
  // segment: `at`'s piece number `piece` begins at sequence number `seq`. Null: no hint.
  PieceBlock* at = nullptr;
  std::uint8_t piece = 0;
  Seq seq;
  std::uint32_t pinned = 0; // truesize of all mbufs held
};

namespace send_queue {

// What a connection may pin for the bytes it queues: small pieces in big buffers are charged for the buffers.
[[nodiscard]] bool may_pin(const Env&, const Tcb&, std::uint32_t truesize);
// Puts a piece behind the others; takes over an mbuf piece's reference. False, and nothing taken, without a
// record.
[[nodiscard]] bool push(const Env&, Tcb&, Piece);
// Room in the last mbuf for a copy of small text: how many of `bytes` were put there.
[[nodiscard]] std::uint32_t fill_tail(Tcb&, std::span<const std::byte>, bool lent = false);
// The first n bytes were acknowledged; how many of them were lent.
[[nodiscard]] std::uint32_t acknowledge_some(const Env&, Tcb&, std::uint32_t n);
[[nodiscard]] inline std::uint32_t acknowledge(const Env& env, Tcb& t, std::uint32_t n) {
  // A short connection's: all there was, which lies elsewhere.
  if (n != t.first.length || t.first.is_static == 0 || t.more != nullptr || t.first.lent != 0)
    return acknowledge_some(env, t, n);
  t.first = Piece{};
  return 0;
}
// Puts [seq, seq + length) behind what `to` holds: copies what is small or static, shares the rest. False
// when packets ran out; `to` is then to be dropped.
[[nodiscard]] bool gather(const Env&, Tcb&, Seq seq, std::uint32_t length, Packet& to);
// Where [seq, seq + length) lies in one run, if it does and is so short that it is copied into its segment;
// else null: gather() it.
inline constexpr std::uint32_t copy_below = 512; // dearer than an indirect mbuf from here on
[[nodiscard]] inline const std::byte* in_one_run(const Tcb& t, Seq seq, std::uint32_t length) {
  const std::uint32_t skip = seq.since(t.snd_una);
  if (length >= copy_below || skip > t.first.length || length > t.first.length - skip) return nullptr;
  return t.first.is_static != 0 ? t.first.bytes + skip
                                : rte_pktmbuf_mtod_offset(t.first.segment, const std::byte*, skip);
}
void release(const Env&, Tcb&);

} // namespace send_queue
} // namespace tern::tcp
