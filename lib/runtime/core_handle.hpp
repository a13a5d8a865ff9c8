// What a handler, and a message from another thread, can reach of a core: the clock of this turn, active
// opens, the other cores' mailboxes. One a core; a handler gets it in on_start() and may keep the reference.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "io/bell.hpp"
#include "io/steering.hpp"
#include "net/network.hpp"
#include "runtime/connection.hpp"
#include "runtime/dialer.hpp"
#include "runtime/hops.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/shard.hpp"

namespace tern {

enum class ConnectError : std::uint8_t {
  none,
  no_record,  // the connection table is full
  port_taken, // these two endpoints are in use, or rest in TIME-WAIT too short a while (RFC 6191)
  no_port,    // a bounded number of ports was tried: all taken
  no_source,  // we have no such local address, or none of the remote's family
  no_route,   // nobody to hand packets for it to
};
[[nodiscard]] std::string_view name_of(ConnectError);

struct Connecting {
  Connection connection;
  ConnectError error = ConnectError::none;
  [[nodiscard]] explicit operator bool() const { return error == ConnectError::none; }
};

class CoreHandle {
 public:
  CoreHandle(Shard& shard, net::Network& network, Hops& hops) : shard_(shard), net_(network), hops_(hops) {}
  CoreHandle(const CoreHandle&) = delete;
  CoreHandle& operator=(const CoreHandle&) = delete;

  // ---- From any thread.
  // Runs `m` on this core's thread before its next turn. False, and `m` never runs, when the mailbox is full
  // or the core has ended: nobody waits.
  [[nodiscard]] bool post(Message m) {
    const bool taken = mailbox_.post(std::move(m));
    if (bell_ != nullptr) bell_->ring();
    return taken;
  }
  [[nodiscard]] io::CoreId id() const { return id_; }
  [[nodiscard]] std::size_t count() const { return peers_.size(); } // of cores in this node
  // Another core: only its post() and id() are for us.
  [[nodiscard]] CoreHandle& peer(io::CoreId id) const { return *peers_[id]; }

  // ---- From this core's thread alone.
  [[nodiscard]] Instant now() const { return shard_.now; }
  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] net::Network& network() { return net_; }
  [[nodiscard]] const Dialer* dialer() const { return dialer_; } // null: a core that opens nothing

  // Opens a connection: the SYN leaves at the end of this turn; on_connected or on_closed follows. The local
  // port is one whose replies come to this core. `user` is the connection's word.
  [[nodiscard]] Connecting connect(const Endpoint& remote, std::uint64_t user = 0);
  // The same for who opens many to one remote and keeps a Dial{remote}.
  [[nodiscard]] Connecting connect(Dial& dial, std::uint64_t user = 0);
  // From this local endpoint. Whether its replies come to this core is the caller's care.
  [[nodiscard]] Connecting connect(const Endpoint& remote, const Endpoint& local, std::uint64_t user = 0);
  // What the three above come down to. `hash`: the key's, by the shard's hasher.
  template <class Key>
  [[nodiscard]] Connecting open(const Key& key, FlowHash hash);
  template <class Key>
  [[nodiscard]] Connecting open(const Key& key) {
    return open(key, shard_.hasher(key));
  }
  // Asks memory for what open(key) will read first. A random line of a large table costs as much as all the
  // rest of an open: who opens many at once aims at each before the first.
  template <class Key>
  void aim(const Key& key) const {
    shard_.flows.prefetch(shard_.hasher(key));
  }
  // Whether open(key) would find the port taken.
  template <class Key>
  [[nodiscard]] bool taken(const Key& key) const;

  // ---- For who makes the core.
  void set_dialer(Dialer* d) { dialer_ = d; }
  void set_bell(io::Bell* b) { bell_ = b; }
  [[nodiscard]] bool has_mail() const { return !mailbox_.empty(); }
  void set_peers(io::CoreId id, std::span<CoreHandle* const> all) { id_ = id, peers_ = all; }
  std::uint32_t run_mail() { return mailbox_.run(*this); }
  void close_mail() { mailbox_.close(); }

 private:
  [[nodiscard]] ConnectError reachable(const Endpoint& remote) const;

  Shard& shard_;
  net::Network& net_;
  Hops& hops_;
  Dialer* dialer_ = nullptr;
  io::Bell* bell_ = nullptr;
  io::CoreId id_ = 0;
  CoreHandle* self_ = this;
  std::span<CoreHandle* const> peers_{&self_, 1};
  Mailbox mailbox_;
};

} // namespace tern
