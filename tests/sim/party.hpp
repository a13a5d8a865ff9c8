// One end of one connection in a campaign: writes what its plan says, checks every byte that it reads.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "sim/engine_host.hpp"
#include "sim/random.hpp"

namespace tern::campaign {

using sim::ConnId;
using sim::EngineHost;

// The text of stream `stream`: any stretch of it lies contiguous in memory that outlives every connection.
[[nodiscard]] std::span<const std::byte> pattern(std::uint32_t stream, std::uint64_t offset,
                                                 std::uint32_t length);
inline constexpr std::uint32_t pattern_most = 60'000; // longest stretch at once

enum class End : std::uint8_t { Close, Abort, Release, Drain, CloseFirst };

struct Plan {
  std::uint64_t total = 0;      // bytes to write
  std::uint32_t write_most = 1; // in one call
  int write_kind = 0;           // 0 copy, 1 static, 2 packet, 3 any
  Duration think{};             // between writes
  Duration read_delay{};        // text is held so long before it is released
  bool pauses = false;          // stops reading now and then
  bool wait_for_eof = false;    // closes only after the peer has
  End end = End::Close;
  std::uint64_t end_after = UINT64_MAX; // bytes read or written after which the end strikes
};

class Party final : public sim::App {
 public:
  Party(sim::Network& net, PacketPool packets, const Plan& plan, std::uint32_t own_stream,
        std::uint32_t peer_stream, sim::Random random)
      : net_(net), packets_(packets), plan_(plan), own_(own_stream), theirs_(peer_stream), random_(random) {}

  void established(EngineHost&, ConnId) override;
  void data(EngineHost&, ConnId, Packet text) override;
  void peer_closed(EngineHost&, ConnId) override;
  void writable(EngineHost&, ConnId) override;
  void closed(EngineHost&, ConnId, tcp::CloseReason) override;

  void opens(EngineHost& h, ConnId id) { host_ = &h, id_ = id; } // before it is established
  void give_up();                                                // patience ends: what still lives is aborted
  void host_crashed() { over_ = true, crashed_ = true, held_.clear(); }

  [[nodiscard]] std::uint64_t accepted() const { return written_; }
  [[nodiscard]] std::uint64_t read() const { return read_; }
  [[nodiscard]] bool begun() const { return host_ != nullptr; }
  [[nodiscard]] bool eof() const { return eof_; }
  [[nodiscard]] bool over() const { return over_; }
  [[nodiscard]] bool was_established() const { return established_; }
  [[nodiscard]] bool crashed() const { return crashed_; }
  [[nodiscard]] bool struck() const { return struck_; } // its plan aborted it or let it go
  [[nodiscard]] bool gave_up() const { return gave_up_; }
  [[nodiscard]] bool all_written() const { return written_ == plan_.total; }
  [[nodiscard]] tcp::CloseReason reason() const { return reason_; }
  [[nodiscard]] const std::optional<std::string>& wrong() const { return wrong_; }
  [[nodiscard]] const Plan& plan() const { return plan_; }

 private:
  void write();
  std::uint32_t write_once(std::uint32_t n);
  void maybe_end();
  void strike();
  void let_go();
  void say(std::string what) {
    if (!wrong_) wrong_ = std::move(what);
  }
  [[nodiscard]] bool mine(ConnId id) const { return !over_ && id == id_; }

  sim::Network& net_;
  PacketPool packets_;
  Plan plan_;
  std::uint32_t own_;
  std::uint32_t theirs_;
  sim::Random random_;
  EngineHost* host_ = nullptr;
  ConnId id_ = 0;
  std::deque<Packet> held_; // read and not yet released
  std::uint64_t written_ = 0;
  std::uint64_t read_ = 0;
  bool established_ = false;
  bool eof_ = false;
  bool ended_ = false; // close was called
  bool over_ = false;
  bool thinking_ = false;
  bool writing_ = false;
  bool paused_ = false;
  bool struck_ = false;
  bool gave_up_ = false;
  bool crashed_ = false;
  tcp::CloseReason reason_ = tcp::CloseReason::None;
  std::optional<std::string> wrong_;
};

} // namespace tern::campaign
