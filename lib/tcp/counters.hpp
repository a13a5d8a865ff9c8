// Every drop has a reason, every reason a counter.
#pragma once

#include <cstdint>

#include "base/counters.hpp"

namespace tern::tcp {

enum class Counter : std::uint8_t {
  // What arrived and was not taken.
  drop_out_of_window,
  drop_paws,
  drop_no_ack,
  drop_ack_of_unsent,
  drop_ack_too_old,
  drop_old_syn_ack,
  drop_no_memory,
  drop_reassembly_full,
  drop_text_scarce, // packets are scarce: see Scarcity
  drop_after_close,
  drop_rst_not_exact,
  drop_beyond_window,
  drop_syn,     // in the window of a connection that stands
  duplicate_in, // segments that hold nothing new
  duplicate_bytes_in,
  old_ack_in, // empty ones from left of the window: overtaken by text, or asking whether we are there
  out_of_order_in,
  challenge_ack,
  challenge_ack_limited,
  reset_in,
  reset_out,
  window_shrunk_by_peer,
  mss_raised, // the peer asked for segments smaller than `least_mss`
  // What a peer may try to its gain; each is heard, and worth nothing to it.
  ack_divided,      // ends inside a segment
  ack_optimistic,   // back in less than a quarter of the least time that this path ever took
  sack_of_unsent,   // SACK blocks
  ts_echo_wrong,    // the echo of a timestamp that we have not sent, or minutes ago
  options_unknown,  // segments with options of a kind that we do not know,
  options_misfit,   // of a known kind in a length that is not its own,
  options_repeated, // twice
  // What had to be sent again.
  retransmit_syn,
  retransmit_syn_ack,
  retransmit_data, // segments with text, whatever made us send them,
  retransmit_fin,  // and FINs without
  retransmit_fast, // of these two, by duplicate ACKs, SACK or RACK;
  retransmit_rto,  // times that the timer fired, after which one or many are sent again;
  retransmit_tlp,  // tail loss probes
  retransmit_spurious,
  undo,
  zero_window_probe,
  keepalive_probe,
  pmtu_reduced,
  pmtu_ignored,
  pmtu_black_hole,
  ecn_reduced,
  // What could not be had.
  no_packet,
  no_recovery_record,
  no_tx_log,
  no_queue_record,
  // The handshake's own machines.
  syn_in,
  syn_duplicate,
  syn_cookie_sent,
  syn_cookie_valid,
  syn_cookie_invalid,
  syn_limit_drop,
  syn_given_up,
  syn_listener_closed, // handshakes whose listener closed before they were done
  handshake_done,
  accept_queue_full,
  listen_rst_out,
  listen_rst_limited,
  listen_rst_in,
  listen_bad_flags,
  listen_text_dropped,
  // TIME-WAIT.
  time_wait_in,
  time_wait_fin_again,
  time_wait_not_restarted, // such a FIN, and no memory for a new place: its time goes on as it was
  time_wait_rst_ignored,
  time_wait_reused,
  time_wait_old_syn,
  time_wait_old_segment,
  time_wait_expired,
  time_wait_evicted,
  // How connections ended.
  timeout_retransmit,
  timeout_keepalive,
  timeout_user,
  timeout_fin_wait_2,
  timeout_close_wait,
  count_
};

[[nodiscard]] const char* name_of(Counter);
using TcpCounters = Counters<Counter>;

} // namespace tern::tcp
