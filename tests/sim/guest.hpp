// The handler of clients and backends in a proxied campaign: each end says its text and hears the other's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/connection.hpp"
#include "sim/core_host.hpp"

namespace tern::campaign {

// One end of a conversation.
struct Guest {
  std::uint32_t number = 0; // of the conversation; a backend reads it from the first four bytes
  bool known = false;
  std::string out; // to say
  std::size_t said = 0;
  std::string in;                    // heard
  bool waits = false;                // closes after the other has
  std::uint64_t abort_after = ~0ULL; // bytes said and heard
  bool peer_closed = false;
  bool parted = false;
  bool over = false;
  CloseReason why = CloseReason::None;
};

class Crowd {
 public:
  Crowd(sim::Network& net, sim::Random random) : net_(net), random_(random) {}
  void on_stage(sim::CoreHost<Crowd>& host) { host_ = &host; }

  // A client's end, about to connect.
  Guest& expect(Connection c);
  // What a backend's end has to say, once its number is heard.
  std::function<void(Guest&)> introduce;
  std::function<void(std::string)> complain;
  double pausing = 0; // chance that a reader leaves what comes for a while

  void on_accept(Connection c) { expect(c); }
  void on_connected(Connection c) { speak(c); }
  void on_data(Connection c, Payload& p);
  void on_writable(Connection c) { speak(c); }
  void on_peer_closed(Connection c);
  void on_closed(Connection c, CloseReason why);

  [[nodiscard]] const std::vector<std::unique_ptr<Guest>>& guests() const { return guests_; }

 private:
  [[nodiscard]] Guest* of(Connection c) const {
    const std::uint64_t w = c.user();
    return w == 0 ? nullptr : guests_[w - 1].get();
  }
  void speak(Connection c);
  void maybe_part(Connection c, Guest& g);

  sim::Network& net_;
  sim::Random random_;
  sim::CoreHost<Crowd>* host_ = nullptr;
  std::vector<std::unique_ptr<Guest>> guests_;
};

} // namespace tern::campaign
