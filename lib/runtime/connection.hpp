// What a handler holds of a connection: a handle that can go stale but never dangle, and the bytes that move
// through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/ip.hpp"
#include "packet/packet.hpp"
#include "tcp/segment.hpp"

namespace tern {

class Shard;
using tcp::CloseReason;

// Bytes that outlive every connection (a constant, a file mapped at start): sent without a copy, and
// retransmissions are rebuilt from them, so that no packet is held. They must live until `run()` returns.
class StaticBytes {
 public:
  constexpr StaticBytes() = default;
  constexpr explicit StaticBytes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  explicit StaticBytes(std::string_view text) : bytes_(std::as_bytes(std::span{text})) {}
  [[nodiscard]] constexpr std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] constexpr std::size_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

// Text that arrived, in order. What a handler leaves in it stays unread: it keeps the peer's window down, and
// comes again with the next text or after resume_reading(). It is taken from the front, by what stands here, and in no
// other way: what is left ends with the segment that it ended with, as who gave it knows.
class Payload {
 public:
  explicit Payload(Packet p) : packet_(std::move(p)) {}
  Payload(const Payload&) = delete;
  Payload& operator=(const Payload&) = delete;

  [[nodiscard]] bool empty() const { return !packet_ || packet_.length() == 0; }
  [[nodiscard]] std::uint32_t size() const { return packet_ ? packet_.length() : 0; }
  // The first piece that lies in one run.
  [[nodiscard]] std::span<const std::byte> front() const {
    return packet_ ? packet_.bytes() : std::span<const std::byte>{};
  }
  // Copies from the front without taking it; how many bytes there were.
  std::uint32_t peek(std::span<std::byte> to) const { return packet_ ? packet_.copy_out(0, to) : 0; }
  void drop(std::uint32_t n) {
    if (n >= size())
      drop_all();
    else
      packet_.trim_front(n);
  }
  void drop_all() {
    if (packet_) spent_ = std::move(packet_);
  }
  // In how many runs the text lies.
  [[nodiscard]] std::uint16_t pieces() const { return packet_ ? packet_.segments() : std::uint16_t{0}; }

 protected:
  friend class Connection;
  Packet packet_;
  // What was dropped, and is freed with this: the core writes its answer there.
  Packet spent_;
  // Of what was taken, the bytes that Connection::forward passed on: their window stays shut.
  std::uint32_t lent_ = 0;
};

// The same, as it is held by who gives it to a handler.
class GivenPayload : public Payload {
 public:
  using Payload::Payload;
  [[nodiscard]] Packet& rest() { return packet_; }
  [[nodiscard]] Packet& spent() { return spent_; }
  [[nodiscard]] std::uint32_t lent() const { return lent_; }
};

// Valid on its owner core only. Using it after the connection is gone does nothing and says so in its result.
class Connection {
 public:
  Connection() = default;
  Connection(Shard* shard, std::uint32_t index, std::uint32_t generation)
      : shard_(shard), index_(index), generation_(generation) {}

  [[nodiscard]] bool alive() const;
  [[nodiscard]] explicit operator bool() const { return alive(); }

  // How many bytes were taken. Less than asked: the send buffer is full, on_writable follows. What was not
  // taken of a payload stays in it.
  std::uint32_t send(Payload& payload);
  std::uint32_t send(StaticBytes bytes);
  std::uint32_t send(std::span<const std::byte> bytes); // copies
  std::uint32_t send(std::string_view text) { return send(std::as_bytes(std::span{text})); }
  [[nodiscard]] std::uint32_t send_space() const;

  // send() for a proxy: text of another connection, whose window stays shut for what is taken until it is
  // acknowledged here. on_returned(this, bytes) tells that, and the handler calls reopen(bytes) on the other.
  // What is not acknowledged when this connection ends is not told.
  std::uint32_t forward(Payload& payload);
  // The same with what `from` has unread, for when it could not be taken as it came: before this connection
  // stood, or while its buffer was full.
  std::uint32_t forward_unread(Connection from);
  void reopen(std::uint32_t bytes);
  // Before that: whoever the text is forwarded to has sent all of it and could send more, so the window may
  // be what holds the peer back. It grows if it is, up to the setting.
  void widen();
  [[nodiscard]] std::uint32_t unread() const;         // bytes that a handler left in a payload
  [[nodiscard]] std::uint32_t unacknowledged() const; // bytes queued, or sent and not acknowledged
  [[nodiscard]] std::uint32_t unsent() const;         // of them, those that wait for a window
  [[nodiscard]] std::uint32_t acknowledged()
      const; // bytes so far, modulo 2^32; handshake and end are one each

  // Four ways to part, see handler.hpp.
  void close();   // our direction, after what is queued
  void drain();   // and what still comes is thrown away
  void release(); // and what still comes is refused
  void abort();   // RST
  void pause_reading();
  // In the turn in which we opened it: its receive window begins with `bytes`, if that is less than the setting. It grows for
  // who reads fast, but no further than the scale that so small a window wants can say: 64 KiB, from as many bytes or fewer.
  void begin_window(std::uint32_t bytes);
  void resume_reading();

  [[nodiscard]] Endpoint remote() const;
  [[nodiscard]] Endpoint local() const;
  [[nodiscard]] tcp::State state() const;
  // Which of the core's listeners it came by, in the order in which they were added; 255: we opened it.
  [[nodiscard]] std::uint8_t listener() const;

  // One word of the handler's own; 0 at first. Of a stale handle: 0, and setting does nothing.
  [[nodiscard]] std::uint64_t user() const;
  void set_user(std::uint64_t word);

  [[nodiscard]] std::uint32_t index() const { return index_; }
  [[nodiscard]] std::uint32_t generation() const {
    return generation_;
  } // no other of this core has had it; 0: none
  bool operator==(const Connection&) const = default;

 private:
  Shard* shard_ = nullptr;
  std::uint32_t index_ = 0;
  std::uint32_t generation_ = 0;
};

} // namespace tern
