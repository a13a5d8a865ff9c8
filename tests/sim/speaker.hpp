// The handler of a Core in a campaign: both ends of conversations that were planned, each byte checked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "party.hpp"
#include "runtime/connection.hpp"
#include "sim/core_host.hpp"

namespace tern::campaign {

// How one end parts once it has written all it had to write. From Drain on it wants nothing more.
enum class Parting : std::uint8_t { CloseAtOnce, CloseAfterPeer, Drain, Release, Abort };

// One end of a conversation.
struct Side {
  std::uint64_t total = 0; // to write
  std::uint32_t write_most = 1;
  Parting parting = Parting::CloseAtOnce;
  bool pauses = false;

  std::uint64_t written = 0;
  std::uint64_t read = 0;
  bool open = false;
  bool eof = false;
  bool parted = false;
  bool over = false;
  CloseReason reason = CloseReason::None;
};

struct Talk {
  std::size_t client = 0; // hosts
  std::size_t server = 0;
  Port port;
  bool begun = false; // connect() took it
  Side ends[2];       // client's, server's
  std::uint32_t stream = 0;
  std::optional<bool> swallowed; // RunLog's word, once another talk took the port
};

class Speaker;
using CoreMachine = sim::CoreHost<Speaker>;

// What all hosts of a run share.
struct Stage {
  Stage(sim::Network& n, PacketPool p) : net(n), packets(p) {}
  sim::Network& net;
  PacketPool packets;
  std::vector<Talk> talks;
  std::map<std::pair<std::uint32_t, std::uint16_t>, std::size_t> by_client; // address, port: the latest talk
  std::optional<std::string> wrong;
  std::uint32_t ghosts = 0; // accepted, and nobody planned them
  void say(std::string what) {
    if (!wrong) wrong = std::move(what);
  }
};

class Speaker {
 public:
  Speaker(Stage& stage, sim::Random random) : stage_(stage), random_(random) {}
  void on_stage(CoreMachine& host) { host_ = &host; }

  // A connection's word: which talk, and which end of it.
  static std::uint64_t word(std::size_t talk, unsigned end) { return talk * 2 + end + 1; }

  void on_accept(Connection c);
  void on_connected(Connection c) { opened(c); }
  void on_data(Connection c, Payload& p);
  void on_writable(Connection c) { speak(c); }
  void on_peer_closed(Connection c);
  void on_closed(Connection c, CloseReason why);

 private:
  [[nodiscard]] Talk* talk_of(Connection c, unsigned& end);
  void opened(Connection c);
  void speak(Connection c);
  std::uint32_t write_once(Connection c, std::uint32_t stream, std::uint64_t from, std::uint32_t n);
  void maybe_part(Connection c, Side& e);
  void later(Connection c);

  Stage& stage_;
  sim::Random random_;
  CoreMachine* host_ = nullptr;
};

} // namespace tern::campaign
