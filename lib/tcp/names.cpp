// Names for people: states, reasons, counters.
#include <array>

#include "tcp/counters.hpp"
#include "tcp/segment.hpp"

namespace tern::tcp {

const char* name_of(State s) {
  constexpr std::array names{"CLOSED",      "LISTEN",     "SYN-SENT",   "SYN-RECEIVED",
                             "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT",
                             "CLOSING",     "LAST-ACK",   "TIME-WAIT"};
  return names[static_cast<std::size_t>(s)];
}

const char* name_of(CloseReason r) {
  constexpr std::array names{"none",        "done",      "reset",   "refused",
                             "unreachable", "timed-out", "aborted", "no-memory"};
  return names[static_cast<std::size_t>(r)];
}

const char* name_of(Counter c) {
  constexpr std::array names{"drop_out_of_window",
                             "drop_paws",
                             "drop_no_ack",
                             "drop_ack_of_unsent",
                             "drop_ack_too_old",
                             "drop_old_syn_ack",
                             "drop_no_memory",
                             "drop_reassembly_full",
                             "drop_text_scarce",
                             "drop_after_close",
                             "drop_rst_not_exact",
                             "drop_beyond_window",
                             "drop_syn",
                             "duplicate_in",
                             "duplicate_bytes_in",
                             "old_ack_in",
                             "out_of_order_in",
                             "challenge_ack",
                             "challenge_ack_limited",
                             "reset_in",
                             "reset_out",
                             "window_shrunk_by_peer",
                             "mss_raised",
                             "ack_divided",
                             "ack_optimistic",
                             "sack_of_unsent",
                             "ts_echo_wrong",
                             "options_unknown",
                             "options_misfit",
                             "options_repeated",
                             "retransmit_syn",
                             "retransmit_syn_ack",
                             "retransmit_data",
                             "retransmit_fin",
                             "retransmit_fast",
                             "retransmit_rto",
                             "retransmit_tlp",
                             "retransmit_spurious",
                             "undo",
                             "zero_window_probe",
                             "keepalive_probe",
                             "pmtu_reduced",
                             "pmtu_ignored",
                             "pmtu_black_hole",
                             "ecn_reduced",
                             "no_packet",
                             "no_recovery_record",
                             "no_tx_log",
                             "no_queue_record",
                             "syn_in",
                             "syn_duplicate",
                             "syn_cookie_sent",
                             "syn_cookie_valid",
                             "syn_cookie_invalid",
                             "syn_limit_drop",
                             "syn_given_up",
                             "syn_listener_closed",
                             "handshake_done",
                             "accept_queue_full",
                             "listen_rst_out",
                             "listen_rst_limited",
                             "listen_rst_in",
                             "listen_bad_flags",
                             "listen_text_dropped",
                             "time_wait_in",
                             "time_wait_fin_again",
                             "time_wait_not_restarted",
                             "time_wait_rst_ignored",
                             "time_wait_reused",
                             "time_wait_old_syn",
                             "time_wait_old_segment",
                             "time_wait_expired",
                             "time_wait_evicted",
                             "timeout_retransmit",
                             "timeout_keepalive",
                             "timeout_user",
                             "timeout_fin_wait_2",
                             "timeout_close_wait"};
  static_assert(names.size() == TcpCounters::size);
  return names[static_cast<std::size_t>(c)];
}

} // namespace tern::tcp
