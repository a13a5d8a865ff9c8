// One core: a loop that runs every packet to completion. `Port` is a PacketPort, `Handler` a plain type
// (handler.hpp); both are known at compile time, so a packet makes no virtual call.
//
//   receive a burst → classify, hash, prefetch → look up → segment_arrives → handler → output once per
//   touched connection → transmit → timers
#pragma once

#include <rte_cycles.h>

#include <array>
#include <cstdint>
#include <optional>

#include "base/prefetch.hpp"
#include "io/port.hpp"
#include "net/network.hpp"
#include "packet/chain.hpp"
#include "runtime/core_handle.hpp"
#include "runtime/handler.hpp"
#include "runtime/hops.hpp"
#include "runtime/shard.hpp"
#include "tcp/pack.hpp"
#include "tcp/predicted_inl.hpp"
#include "tcp/reply.hpp"
#include "wire/tcp_inl.hpp"

namespace tern {

template <io::PacketPort Port, class Handler>
class Core {
 public:
  Core(Shard& shard, net::Network& network, Port& port, io::QueueId queue, Handler& handler)
      : shard_(shard),
        net_(network),
        port_(port),
        queue_(queue),
        handler_(handler),
        hops_(network),
        packing_(packing_of(port.plan())),
        handle_(shard, network, hops_) {}
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;
  ~Core() {
    for (std::uint16_t i = 0; i < ahead_count_; ++i) rte_pktmbuf_free(ahead_[i]);
  }

  // One turn of the loop. True if there was anything to do.
  bool poll(Instant now);

  // What handlers and messages reach of this core: post() from any thread, connect() from this one.
  [[nodiscard]] CoreHandle& handle() { return handle_; }
  template <class Key>
  [[nodiscard]] bool taken(const Key& key) const {
    return handle_.taken(key);
  }
  template <class Key>
  [[nodiscard]] Connecting connect(const Key& key) {
    return handle_.open(key);
  }

  void drain() { handler::draining(handler_); }
  // Whether another thread has put something here since the last turn.
  [[nodiscard]] bool knocked() const {
    if constexpr (requires { port_.waiting(queue_); })
      if (port_.waiting(queue_)) return true;
    return handle_.has_mail();
  }

  // The port has more than it takes: output waits, and who starts nothing new meanwhile keeps what is under
  // way from waiting behind it.
  [[nodiscard]] bool congested() const { return congested_; }

  // Until when nothing is to be done unless somebody knocks or a packet comes; at most so long.
  [[nodiscard]] Instant nothing_before(Duration most) const;

  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] Instant now() const { return shard_.now; }
  // TSC cycles spent inside the port's receive and transmit since the start, empty polls aside.
  [[nodiscard]] std::uint64_t port_cycles() const { return port_cycles_; }

 private:
  using R = ConnectionRecord;
  template <class Key>
  using Tuple = std::conditional_t<std::is_same_v<Key, FlowKey4>, tcp::Tuple4, tcp::Tuple6>;
  static constexpr std::uint16_t burst = io::burst_size;

  // A TCP segment whose checksums were found good, on its way through the stages.
  struct Arrived {
    rte_mbuf* frame; // owned
    std::uint32_t l4_length;
    std::uint16_t l4_offset;
    std::uint8_t tos;
  };

  [[nodiscard]] std::uint16_t receive_burst();
  void look_ahead();
  static void ask_for(const rte_mbuf* m);
  // Another core writes what this one receives.
  static constexpr bool far_packets = io::FarPort<Port>;
  void ask_ahead();
  std::uint64_t receive(std::uint16_t count);
  [[nodiscard, gnu::always_inline]] bool receive_lean(Arrived& a);
  [[nodiscard, gnu::noinline]] bool receive_other(Arrived& a, std::uint16_t& l3);
  [[nodiscard]] FlowRef revalidated(FlowRef hint, std::uint16_t i) const;
  // ---- Of several cores on a port (io/shared_port.hpp): what is another's, or everybody's.
  [[nodiscard]] static tcp::Packing packing_of(const io::PortPlan& plan);
  void pack(const R& r);
  [[nodiscard]] bool passed_on(Packet& p, const net::Classified& c);
  template <class Key>
  [[nodiscard]] bool passed_to_owner(Packet& p, const Key& key);
  void share(const Packet& p);
  void rise();
  template <class Key>
  void arrive_error(const Key& key, const net::TcpError& e);
  template <class Key>
  void arrive(const Arrived& a, const Key& key, FlowHash hash, FlowRef ref);
  template <class Key>
  [[gnu::noinline]] void arrive_by_steps(const Arrived& a, const Key& key, FlowHash hash, FlowRef ref,
                                         Packet& packet);
  template <class Key>
  void arrive_at_listener(const tcp::Segment& s, const Key& key, FlowHash hash);
  template <class Key>
  void refuse(const tcp::Segment& s, const Key& key);
  template <class Key>
  void arrive_at_syn(SynSlot<Key>& slot, const tcp::Segment& s, FlowHash hash);
  template <class Key>
  [[nodiscard]] bool abandoned(const SynSlot<Key>& slot);
  template <class Key>
  void arrive_at_abandoned(SynSlot<Key>& slot, const tcp::Segment& s, FlowHash hash);
  template <class Key>
  void arrive_at_time_wait(std::uint32_t index, const tcp::Segment& s, const Key& key, FlowHash hash);
  void arrive_at_connection(R& r, const tcp::Segment& s);
  // The predicted ways: core_predicted_inl.hpp.
  [[nodiscard, gnu::always_inline]] bool arrive_predicted(R& r, const Arrived& a, Packet& p);
  template <class Header>
  [[nodiscard, gnu::always_inline]] bool read_predicted(const Arrived& a, const Packet& p, Header& h) const;
  [[gnu::always_inline]] void tell_predicted(R& r, Packet& p, std::uint32_t text, const tcp::Outcome& out);
  [[nodiscard, gnu::noinline, gnu::hot, gnu::flatten]] bool connect_predicted(R& r, const Arrived& a,
                                                                              Packet& p);
  // In one, so that the new Tcb is written once, as it will stand.
  template <class Key>
  [[nodiscard, gnu::noinline, gnu::hot, gnu::flatten]] bool complete_predicted(const Arrived& a,
                                                                               FlowHash hash, FlowRef ref,
                                                                               Packet& p);

  template <class Key>
  [[nodiscard, gnu::noinline, gnu::hot, gnu::flatten]] bool listen_predicted(const Arrived& a, const Key& key,
                                                                             FlowHash hash, Packet& p);

  template <class Key>
  [[nodiscard]] tcp::ListenRoom room_of(const Listener& l);
  template <class Key>
  [[nodiscard]] std::uint8_t listener_for(const Key& key) const {
    // A connection over IPv6 names its local address by its number among ours: one that has none is closed.
    if constexpr (std::is_same_v<Key, FlowKey6>)
      if (shard_.address6_index(key.local) == shard_.settings.addresses6.size()) return Listeners::none;
    return shard_.listeners.find(key.local, Port16(key.local_port));
  }
  static tern::Port Port16(Be16 p) { return tern::Port{p.host()}; }
  template <class Key, class Make>
  void keep_syn(const Key& key, FlowHash hash, std::uint8_t listener, FlowRef replaces, Make&& make);
  template <class Key>
  void complete(const Key& key, FlowHash hash, FlowRef from, std::uint8_t listener, std::uint16_t hop,
                const tcp::Handshake&, const tcp::Segment&);
  template <class Key>
  [[nodiscard]] R* take_place(const Key& key, FlowHash hash, FlowRef from);
  void show(R& r, std::uint8_t listener, std::uint16_t hop);
  template <class Key>
  void end_handshake(SynSlot<Key>& slot);
  template <class Key>
  void give_up_syn(SynSlot<Key>& slot, FlowHash hash);
  template <class Key>
  void free_syn(SynSlot<Key>& slot) {
    shard_.template syns<Key>().wheel.cancel(slot);
    --shard_.listeners[slot.listener].opening;
    name_slot(slot, Key{});
    shard_.template syns<Key>().slots.give_back(&slot);
  }

  // Its handler wants to hear of nothing but the end.
  [[nodiscard]] static bool let_go(const R& r) {
    return r.tcb.has(tcp::flag_orphan) || (r.has(R::over) && r.tcb.reason == CloseReason::Aborted);
  }
  [[gnu::always_inline]] void tell(R& r, tcp::Outcome& out); // in two places
  [[gnu::always_inline]] void follow(R& r, const tcp::Outcome& out);
  void tell_accepted(R& r);
  [[gnu::noinline]] void reply_reset(R& r, const tcp::Outcome& out);
  void hand_over(R& r, Packet fresh);
  void tell_end(R& r) {
    if (r.has(R::end_untold)) end_comes(r);
  }
  void end_comes(R& r);

  [[nodiscard]] bool flush();
  void flush_one(R& r);
  void unstrand(R& r);
  [[nodiscard, gnu::always_inline]] bool send_predicted(R& r); // core_predicted_inl.hpp
  [[nodiscard]] bool send_by_steps(R& r);
  template <class Make>
  [[nodiscard, gnu::always_inline]] bool send_whole(const FlowKey4& key, std::uint16_t hop,
                                                    std::uint32_t length, std::span<const std::byte> text,
                                                    Make&& make);
  [[gnu::noinline]] void end_connection(R& r);
  [[nodiscard]] bool waits_for_reader(R& r);
  void leave_table(R& r);
  template <class Key>
  void leave_table(R& r, const Key& key);
  [[gnu::always_inline]] void arm(R& r) {
    if (const std::uint32_t at = tcp::next_deadline(r.tcb); at != 0)
      shard_.wheel.arm(r, at);
    else
      shard_.wheel.cancel(r); // while its lines are here: a timer that fires for nothing fetches them again
  }

  template <class Key>
  void reply(const wire::Tcp& h, const Key& key, std::uint16_t& hop);
  template <class Key>
  void send_syn_ack(const tcp::SynRecord& r, const Key& key, std::uint16_t& hop);
  template <class Key>
  [[nodiscard]] std::optional<Duration> next_syn_ack(SynSlot<Key>& slot);
  template <class Key>
  void send(Packet&& p, const Key& key, bool ect, std::uint16_t& hop, const wire::SummedFront& front);
  void queue_frame(rte_mbuf* m) {
    if (tx_count_ == burst) transmit();
    tx_[tx_count_++] = m;
  }
  [[gnu::noinline]] void transmit() {
    if (tx_count_ == 0) return;
    std::uint64_t bytes = 0;
    for (std::uint16_t i = 0; i < tx_count_; ++i) bytes += tx_[i]->pkt_len;
    shard_.counters.add(CoreCounter::tx_packets, tx_count_);
    shard_.counters.add(CoreCounter::tx_bytes, bytes);
    const std::uint64_t start = rte_rdtsc();
    port_.tx_burst(queue_, tx_.data(), tx_count_);
    port_cycles_ += rte_rdtsc() - start;
    tx_count_ = 0;
    congested_ = port_.tx_full(queue_) && !stuck_;
  }
  [[nodiscard]] bool port_is_stuck();
  void tell_scarcity() {
    using tcp::Scarcity;
    const Scarcity s = shard_.env.scarcity;
    net_.hold(s >= Scarcity::critical ? net::Holding::least
              : s == Scarcity::low    ? net::Holding::no_fragments
                                      : net::Holding::usual);
  }

  void wake(Instant before);
  bool run_timers(bool new_tick);
  template <class Key>
  bool run_family_timers(Tick tick, bool new_tick);

  Shard& shard_;
  net::Network& net_;
  Port& port_;
  const io::QueueId queue_;
  Handler& handler_;
  Hops hops_;
  const tcp::Packing packing_;
  CoreHandle handle_;
  bool started_ = false;
  std::uint64_t port_cycles_ = 0;
  std::uint16_t tx_count_ = 0;
  bool congested_ = false;
  bool stuck_ = false; // the port is full, and will be
  Tick stuck_since_ = 0;
  std::uint64_t sent_then_ = 0;
  static constexpr Tick stuck_after = 1000; // ms
  static constexpr int syn_acks_wait = 10;  // ms, while the port is full
  Tick last_tick_ = 0;
  bool timers_left_ = false; // more was due than one run takes
  Tick last_net_tick_ = 0;
  static constexpr Tick net_tick_every = 256;
  static constexpr Duration long_pause = Duration::seconds(4 * 3600);
  static constexpr Duration longest_step = Duration::seconds(40 * 24 * 3600);
  std::uint16_t shared_this_tick_ = 0;
  std::array<rte_mbuf*, burst> tx_;
  std::uint16_t ahead_count_ = 0;
  std::uint16_t ahead_asked_ = 0; // of which so many were asked for, where packets are far
  std::array<rte_mbuf*, burst> rx_;
  std::array<rte_mbuf*, burst> ahead_; // received while rx_ was worked on: its lines are on their way
  wire::Tcp header_;                   // of the segment in hand
  std::array<Arrived, burst> arrived_;
  std::array<FlowKey4, burst> keys_;
  FlowBurst lookup_;
  tcp::TxBurst out_;
  tcp::ListenOutcome listen_out_;
};

} // namespace tern

#include "runtime/core_inl.hpp"
#include "runtime/core_network_inl.hpp"
#include "runtime/core_predicted_inl.hpp"
