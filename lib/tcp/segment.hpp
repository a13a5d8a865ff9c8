// What goes into the engine and what comes out of it.
#pragma once

#include <array>
#include <cstdint>
#include <new>
#include <utility>

#include "base/check.hpp"
#include "base/time.hpp"
#include "packet/chain.hpp"
#include "packet/packet.hpp"
#include "wire/checksum.hpp"
#include "wire/tcp.hpp"

namespace tern::tcp {

// RFC 9293 §3.3.2. LISTEN, SYN-RECEIVED (passive) and TIME-WAIT are machines and records of their own; the
// enumerators stay whole so that one name serves everywhere.
enum class State : std::uint8_t {
  Closed,
  Listen,
  SynSent,
  SynReceived,
  Established,
  FinWait1,
  FinWait2,
  CloseWait,
  Closing,
  LastAck,
  TimeWait,
};
[[nodiscard]] const char* name_of(State);

enum class CloseReason : std::uint8_t {
  None,
  Done,        // both directions closed and acknowledged
  Reset,       // the peer sent RST
  Refused,     // RST in answer to our SYN, or ICMP's word that nobody there takes it
  Unreachable, // ICMP in answer to our SYN: it does not get there
  TimedOut,    // retransmissions, keepalive or the user timeout gave up
  Aborted,     // by our own user
  NoMemory,    // a record that it could not live without was not to be had
};
[[nodiscard]] const char* name_of(CloseReason);

// One segment from the wire, already checked and parsed. `payload` holds exactly the text (trimmed of its
// headers), or is null when there is none; the engine moves from it what it keeps.
struct Segment {
  const wire::Tcp& h;
  Packet* payload = nullptr;
  std::uint32_t text = 0; // payload bytes
  bool ce = false;        // ECN: congestion experienced
  bool shortened = false; // without_text()

  // SEG.LEN: counts SYN and FIN.
  [[nodiscard]] std::uint32_t len() const {
    return text + ((h.flags & wire::tcp_flag::syn) != 0) + ((h.flags & wire::tcp_flag::fin) != 0);
  }
  [[nodiscard]] Seq end() const { return h.seq + len(); }
};
// What the segment acknowledges, without its text and FIN, which will come again: nobody says that they came,
// and the peer's timer backs off. `h` holds its header.
[[nodiscard]] inline Segment without_text(const Segment& s, wire::Tcp& h) {
  h = s.h;
  h.flags &= static_cast<std::uint8_t>(~(wire::tcp_flag::fin | wire::tcp_flag::psh));
  return {.h = h, .ce = s.ce, .shortened = true};
}

// What a connection's user must learn. Several can come at once; they are told in this order.
enum Event : std::uint16_t {
  event_established = 1, // the handshake is done
  event_data = 2,        // `Outcome::data` holds text, in order
  event_peer_closed = 4, // the peer's FIN was reached: no more text will come
  event_writable = 8,    // send space came back after a send was cut short
  event_time_wait = 16,  // make a TIME-WAIT record; then the Tcb is free
  event_closed = 32,     // the connection is over, `Outcome::reason` says why; the Tcb is free
  event_returned = 64,   // `Outcome::returned` bytes that had been lent (send_packet) were acknowledged
};

// What one call into the engine wants to happen.
struct Outcome {
  std::uint16_t events = 0;
  CloseReason reason = CloseReason::None;
  bool output = false;      // output() has something to send
  bool reply_reset = false; // answer with <SEQ=reset_seq><ACK=reset_ack><CTL=RST[,ACK]> and nothing else
  bool reset_has_ack = false;
  Seq reset_seq;
  Seq reset_ack;
  std::uint32_t returned = 0;
  PacketChain data; // in-order text for the user

  [[nodiscard]] bool has(Event e) const { return (events & e) != 0; }
};

// Segments on their way out: each Packet begins at its TCP header; ports and checksum are zero. The caller
// puts addresses, IP and checksum around them.
class TxBurst {
 public:
  static constexpr std::size_t most = 64;

  [[nodiscard]] bool full() const { return count_ == most; }
  [[nodiscard]] std::size_t size() const { return count_; }
  void push(Packet p, bool ect, const wire::SummedFront& front = {}) {
    Slot& s = slots_[count_++];
    TERN_DCHECK(!s.packet); // moved out, or cleared
    ::new (static_cast<void*>(&s.packet)) Packet{std::move(p)};
    s.front = front;
    s.ect = ect;
  }
  [[nodiscard]] Packet& operator[](std::size_t i) { return slots_[i].packet; }
  // The header, summed while it was written.
  [[nodiscard]] const wire::SummedFront& front(std::size_t i) const { return slots_[i].front; }
  [[nodiscard]] bool ect(std::size_t i) const { return slots_[i].ect; } // mark ECT(0) in the IP header
  void all_moved() { count_ = 0; }                                      // the caller moved every packet out
  // For who takes some out of the middle (pack.hpp): the others close up.
  void move_down(std::size_t from, std::size_t to) {
    if (from == to) return;
    slots_[to].packet = std::move(slots_[from].packet);
    slots_[to].front = slots_[from].front;
    slots_[to].ect = slots_[from].ect;
  }
  void shrink(std::size_t n) { count_ = n; } // those behind were moved out
  void clear() {                             // what was not moved out is freed
    for (std::size_t i = 0; i < count_; ++i) slots_[i].packet.reset();
    count_ = 0;
  }

 private:
  struct Slot {
    Packet packet;
    wire::SummedFront front;
    bool ect = false;
  };
  std::size_t count_ = 0;
  std::array<Slot, most> slots_;
};

} // namespace tern::tcp
