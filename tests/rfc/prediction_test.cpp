// The fast paths of arrival and output against the RFC's chain and the output pass's steps: two connections live the
// same life, one through each, and stay the same in every field, every segment sent and every word to the user.
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <tuple>

#include "rig.hpp"
#include "sim/random.hpp"
#include "sim/trace.hpp"
#include "tcp/predicted_inl.hpp"

namespace tern::rfc {
namespace prediction_test {

// The first field that differs, or "".
std::string difference(const tcp::Tcb& a, const tcp::Tcb& b) {
#define SAME(field) \
  if (!(a.field == b.field)) return #field
  SAME(snd_una);
  SAME(snd_nxt);
  SAME(snd_end);
  SAME(snd_wnd);
  SAME(rcv_nxt);
  SAME(rcv_adv);
  SAME(state);
  SAME(snd_scale);
  SAME(rcv_scale);
  SAME(mss);
  SAME(flags);
  SAME(ts_recent);
  SAME(heard_at);
  SAME(ts_offset);
  SAME(last_ack_sent);
  SAME(snd_wl1);
  SAME(snd_wl2);
  SAME(cwnd);
  SAME(rtx_at_ms);
  SAME(ack_at_ms);
  SAME(rcv_limit);
  SAME(rcv_held);
  SAME(rcv_mss);
  SAME(quick_acks);
  SAME(first.length);
  SAME(srtt_us);
  SAME(rttvar_us);
  SAME(timed_seq);
  SAME(timed_at_us);
  SAME(ssthresh);
  SAME(max_snd_wnd);
  SAME(idle_at_ms);
  SAME(rtx);
  SAME(rtx_backoff);
  SAME(rtx_count);
  SAME(challenges);
  SAME(challenge_ms);
  SAME(recover);
  SAME(stalled_since_ms);
  SAME(dsack_left);
  SAME(dsack_right);
  SAME(peer_mss);
  SAME(path_mss);
  SAME(reason);
#undef SAME
  if ((a.recovery == nullptr) != (b.recovery == nullptr)) return "recovery";
  if ((a.reassembly == nullptr) != (b.reassembly == nullptr)) return "reassembly";
  return "";
}

std::string difference(const Rig& a, const Rig& b) {
  if (const std::string field = difference(a.tcb, b.tcb); !field.empty()) return "Tcb::" + field;
  if (a.outcome.events != b.outcome.events) return "events";
  if (a.outcome.reply_reset != b.outcome.reply_reset) return "reply_reset";
  if (a.delivered != b.delivered) return "text";
  if (a.sent.size() != b.sent.size()) return fmt::format("{} and {} segments", a.sent.size(), b.sent.size());
  for (std::size_t i = 0; i < a.sent.size(); ++i)
    if (!(a.sent[i].h == b.sent[i].h) || a.sent[i].bytes != b.sent[i].bytes) return "a segment";
  for (std::size_t i = 0; i < tcp::TcpCounters::size; ++i)
    if (a.counters.get(static_cast<tcp::Counter>(i)) != b.counters.get(static_cast<tcp::Counter>(i)))
      return tcp::name_of(static_cast<tcp::Counter>(i));
  return "";
}

tcp::Settings random_settings(sim::Random& r) {
  tcp::Settings s;
  s.timestamps = r.chance(0.6);
  s.sack = r.chance(0.7);
  s.window_scale = r.chance(0.6);
  s.nagle = r.chance(0.5);
  s.delayed_ack = r.chance(0.7);
  s.ecn = r.chance(0.3);
  s.receive_buffer = static_cast<std::uint32_t>(r.between(4'000, 100'000));
  if (r.chance(0.3)) s.keepalive_idle = Duration::seconds(5);
  return s;
}

class Twins {
 public:
  explicit Twins(std::uint64_t seed)
      : random_(seed), settings_(random_settings(random_)), fast_(settings_), slow_(settings_) {
    slow_.by_rfc = true;
  }

  void open() {
    if (random_.chance(0.5)) return open_passively();
    each([](Rig& r) {
      r.user([&] { tcp::open_active(r.env(), r.tcb, our_iss, 7, interface_mss, 536, r.now); });
    });
    if (random_.chance(0.2)) send(); // leaves when the handshake is done
    wire::Tcp h;
    h.seq = their_iss;
    h.ack = our_iss + 1;
    h.flags = flag::syn | flag::ack;
    if (settings_.ecn && random_.chance(0.8)) h.flags |= flag::ece;
    h.window = 20'000;
    using O = wire::TcpOptions;
    h.options.has = O::mss_bit | O::sack_permitted_bit | O::wscale_bit | O::timestamps_bit;
    h.options.mss = 1460;
    h.options.wscale = 2;
    h.options.ts_val = ts_;
    arrive(h, 0);
  }
  // The SYN-ACK has been sent: the segment that proves it is the first that arrives.
  void open_passively() {
    tcp::Handshake hs;
    hs.iss = our_iss;
    hs.irs = their_iss;
    hs.peer_mss = 1460;
    hs.scaled = settings_.window_scale;
    hs.snd_scale = hs.rcv_scale = hs.scaled ? 2 : 0;
    hs.sack = settings_.sack;
    hs.timestamps = settings_.timestamps;
    hs.ecn = settings_.ecn;
    hs.ts_recent = ts_;
    hs.ts_offset = 7;
    hs.syn_window = 20'000;
    hs.timed = random_.chance(0.7);
    hs.sent_at_us = fast_.now.us32();
    if (!hs.timed) hs.resent = static_cast<std::uint8_t>(random_.below(3));
    each([&](Rig& r) { tcp::open_passive(r.env(), r.tcb, hs, interface_mss, r.now); });
    segment(true);
  }
  // Mostly what the fast path predicts, now and then everything else.
  void step() {
    const double what = random_.unit();
    if (what < 0.15) return send();
    if (what < 0.25) return pass();
    if (what < 0.25 + closing_) return send(true);
    if (what < 0.25 + closing_ * 1.1)
      return each([](Rig& r) {
        r.user([&] { tcp::orphan(r.env(), r.tcb, tcp::Farewell::Drain, r.now, r.outcome); });
      });
    if (what > 0.99) return each([&](Rig& r) { r.user_reads = !r.user_reads; });
    segment();
  }
  [[nodiscard]] std::string difference() const { return prediction_test::difference(fast_, slow_); }
  [[nodiscard]] bool over() const {
    return fast_.tcb.state == State::Closed || fast_.tcb.state == State::TimeWait;
  }
  [[nodiscard]] std::string last() const { return last_; }

 private:
  // Text, at times to the last byte of the window; then the end of it, at times without any.
  void send(bool last = false) {
    static const std::vector<std::byte> bytes = [] {
      std::vector<std::byte> b(20'000);
      for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<std::byte>(i * 29 >> 3);
      return b;
    }();
    auto n = static_cast<std::uint32_t>(random_.skewed(random_.chance(0.5) ? 9 : 13));
    if (random_.chance(0.2)) n = std::min(fast_.tcb.snd_wnd, 10'000U);
    if (last && random_.chance(0.5)) n = 0;
    const bool copied = random_.chance(0.3);
    const std::span<const std::byte> text = std::span{bytes}.subspan(random_.below(7), n);
    each([&](Rig& r) {
      r.user([&] {
        (void)(copied ? tcp::send_copy(r.env(), r.tcb, text, r.now)
                      : tcp::send_static(r.env(), r.tcb, text, r.now));
        if (last) tcp::close(r.env(), r.tcb, r.now, r.outcome);
      });
    });
  }
  template <class F>
  void each(F&& f) {
    f(fast_);
    f(slow_);
  }
  void arrive(const wire::Tcp& h, std::uint32_t text) {
    last_ = fmt::format("[{}] seq rcv.nxt{:+} ack una{:+} text {} win {}", sim::flags_of(h.flags),
                        static_cast<std::int32_t>(h.seq.since(fast_.tcb.rcv_nxt)),
                        static_cast<std::int32_t>(h.ack.since(fast_.tcb.snd_una)), text, h.window);
    each([&](Rig& r) { r.arrives(h, text); });
  }
  void pass() {
    const Duration d = Duration::us(static_cast<std::int64_t>(random_.skewed(20)));
    each([&](Rig& r) {
      r.pass(d);
      const std::uint32_t at = tcp::next_deadline(r.tcb);
      if (at != 0 && static_cast<std::int32_t>(r.now.ms32() - at) >= 0) (void)r.timer_fires();
    });
    ts_ += static_cast<std::uint32_t>(d.as_ms());
  }
  void segment(bool proof = false) {
    const tcp::Tcb& t = fast_.tcb;
    wire::Tcp h;
    h.seq = t.rcv_nxt;
    h.ack = proof || random_.chance(0.6)
                ? t.snd_nxt
                : t.snd_una + static_cast<std::uint32_t>(random_.below(t.outstanding() + 1));
    h.flags = flag::ack;
    h.window = static_cast<std::uint16_t>(random_.chance(0.8) ? 20'000 : random_.skewed(16));
    if (random_.chance(0.5)) h.flags |= flag::psh;
    std::uint32_t text = random_.chance(0.5) ? static_cast<std::uint32_t>(random_.below(1449)) : 0;
    if (t.has(tcp::flag_timestamps)) {
      h.options.has = wire::TcpOptions::timestamps_bit;
      h.options.ts_val = ts_;
      h.options.ts_ecr = t.ts_offset + fast_.now.ms32();
    }
    if (random_.chance(closing_)) h.flags |= flag::fin;
    if (!proof && random_.chance(0.15)) spoil(h, text);
    arrive(h, text);
  }
  void spoil(wire::Tcp& h, std::uint32_t& text) {
    const tcp::Tcb& t = fast_.tcb;
    switch (random_.below(9)) {
      case 0:
        h.seq += static_cast<std::uint32_t>(random_.between(1, 3000));
        break; // a hole
      case 1:
        h.seq = h.seq - static_cast<std::uint32_t>(random_.between(1, 3000));
        break;
      case 2:
        h.ack = t.snd_una - static_cast<std::uint32_t>(random_.between(1, 1000));
        break;
      case 3:
        h.ack = t.snd_nxt + static_cast<std::uint32_t>(random_.between(1, 1000));
        break;
      case 4:
        h.options.ts_val -= static_cast<std::uint32_t>(random_.between(1, 5000));
        break;
      case 5:
        h.options.has ^= wire::TcpOptions::timestamps_bit;
        break;
      case 6:
        if (t.outstanding() > 100) {
          h.options.sack_count = 1;
          h.options.sack[0] = {t.snd_una + 50, t.snd_una + 100};
        }
        break;
      case 7:
        h.flags |= static_cast<std::uint8_t>(random_.chance(0.5) ? flag::ece : flag::cwr);
        break;
      default:
        if (random_.chance(0.1))
          h.flags |= flag::fin;
        else if (random_.chance(0.1))
          h.flags |= flag::rst;
        else
          h.flags |= flag::urg;
        if (random_.chance(0.3)) text = 0;
        break;
    }
  }

  sim::Random random_;
  tcp::Settings settings_;
  Rig fast_;
  Rig slow_;
  double closing_ = random_.chance(0.5) ? 0.2 : 0.01; // short lives and long ones
  std::uint32_t ts_ = 1'000'000;
  std::string last_;
};

TEST(Prediction, FastPathAndChainAreTheSameFunction) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Twins twins{seed};
    twins.open();
    for (int i = 0; i < 300 && !twins.over(); ++i) {
      twins.step();
      const std::string d = twins.difference();
      ASSERT_TRUE(d.empty()) << "seed " << seed << ", step " << i << ", after " << twins.last() << ": " << d
                             << " differs";
    }
  }
}

// Who proves a SYN-ACK: a record, a connection and its first text at one go, against the three steps.
class Proof {
 public:
  explicit Proof(std::uint64_t seed) : random_(seed), settings_(random_settings(random_)) {
    if (random_.chance(0.8)) settings_.timestamps = settings_.sack = settings_.window_scale = true;
    if (random_.chance(0.8)) settings_.ecn = false;
    wire::Tcp syn = header(flag::syn, their_iss, Seq{}, 20'000);
    if (random_.chance(0.1)) syn.flags |= flag::ece | flag::cwr;
    using O = wire::TcpOptions;
    syn.options.has = O::mss_bit | O::sack_permitted_bit | O::wscale_bit | O::timestamps_bit;
    if (random_.chance(0.2)) syn.options.has ^= O::timestamps_bit;
    if (random_.chance(0.05)) syn.options.has ^= static_cast<std::uint8_t>(1U << random_.below(4));
    syn.options.mss = static_cast<std::uint16_t>(random_.chance(0.5) ? 1460 : random_.below(2000));
    syn.options.wscale = static_cast<std::uint8_t>(random_.below(16));
    syn.options.ts_val = ts_;
    record_ = tcp::make_syn_record(settings_, syn, 536, {our_iss, 7}, now_);
    if (random_.chance(0.05)) record_.resent = 1;
    make_segment();
  }
  // Nothing was predicted, or both ways come to the same. `predicted`: which.
  [[nodiscard]] bool stamped() const { return lean_.stamped; }
  [[nodiscard]] std::string difference(bool& predicted) {
    Rig fast{settings_};
    Rig slow{settings_};
    fast.now = slow.now = now_ + Duration::us(static_cast<std::int64_t>(random_.skewed(20)));
    slow.by_rfc = true;
    predicted = tcp::predicts_proof(fast.env(), record_, lean_, text_);
    if (!predicted) return "";
    wire::Tcp h = header(lean_.flags, lean_.seq, lean_.ack, lean_.window);
    if (lean_.stamped) h.options.has = wire::TcpOptions::timestamps_bit;
    h.options.ts_val = lean_.stamp.val;
    h.options.ts_ecr = lean_.stamp.ecr;
    tcp::SynRecord half_open = record_;
    wire::Tcp reply;
    if (tcp::syn_received_arrives(slow.env(), half_open, tcp::Segment{.h = h, .text = text_}, interface_mss,
                                  true, slow.now, reply) != tcp::SynVerdict::Complete)
      return "verdict";
    tcp::open_passive(slow.env(), slow.tcb, tcp::handshake_of(settings_, half_open), interface_mss, slow.now);
    slow.arrives(h, text_);
    fast.user([&] {
      tcp::open_proved(fast.env(), fast.tcb, record_, lean_, text_, interface_mss, fast.now, fast.outcome);
      if (text_ == 0) return;
      Packet p = packets().alloc();
      ASSERT_NE(p.append(static_cast<std::uint16_t>(text_)), nullptr);
      ASSERT_TRUE(fast.outcome.data.append(std::move(p)));
    });
    return prediction_test::difference(fast, slow);
  }

 private:
  // Mostly what is predicted, each part of it now and then not.
  void make_segment() {
    const auto spoilt = [&] { return random_.chance(0.05); };
    const auto few = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random_.below(n)); };
    lean_.seq = their_iss + (spoilt() ? few(3) : 1);
    lean_.ack = our_iss + (spoilt() ? few(3) : 1);
    lean_.flags = static_cast<std::uint8_t>(flag::ack | (random_.chance(0.5) ? flag::psh : 0));
    if (random_.chance(0.2)) lean_.flags |= flag::fin;
    if (spoilt()) lean_.flags ^= static_cast<std::uint8_t>(1U << random_.below(8));
    lean_.stamped = (record_.timestamps != 0) != spoilt();
    lean_.window = static_cast<std::uint16_t>(random_.skewed(16));
    lean_.stamp = {ts_ + few(3) - (spoilt() ? 2 : 0), now_.ms32() + 7};
    text_ = random_.chance(0.5) ? static_cast<std::uint32_t>(random_.below(1449)) : 0;
    if (spoilt())
      settings_.receive_buffer = text_ + static_cast<std::uint32_t>(random_.below(3)) - (text_ != 0);
  }

  sim::Random random_;
  tcp::Settings settings_;
  tcp::SynRecord record_;
  wire::LeanHeader lean_;
  std::uint32_t text_ = 0;
  std::uint32_t ts_ = 1'000'000;
  Instant now_ = Instant{} + Duration::seconds(100);
};

TEST(Prediction, ProofOfAHandshakeAndStepsAreTheSameFunction) {
  int predicted = 0;
  int bare = 0; // of them, without timestamps
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    Proof proof{seed};
    bool is = false;
    const std::string d = proof.difference(is);
    ASSERT_TRUE(d.empty()) << "seed " << seed << ": " << d << " differs";
    predicted += is;
    bare += is && !proof.stamped();
  }
  EXPECT_GT(predicted, 1000);
  EXPECT_GT(bare, 250);
  EXPECT_LT(predicted, 4500);
}

// The SYN-ACK that was predicted, against SYN-SENT's steps. Nothing was predicted: "".
std::string answer_difference(std::uint64_t seed, bool& predicted) {
  sim::Random random{seed};
  const auto spoilt = [&] { return random.chance(0.05); };
  tcp::Settings settings = random_settings(random);
  if (random.chance(0.8)) settings.timestamps = settings.sack = settings.window_scale = true;
  if (random.chance(0.8)) settings.ecn = false;
  Rig fast{settings};
  Rig slow{settings};
  slow.by_rfc = true;
  static constexpr std::array<std::byte, 100> text{};
  const bool early = random.chance(0.2); // text that waits for the handshake
  const bool late = spoilt();            // for which the SYN is sent again
  const Duration rtt = Duration::us(static_cast<std::int64_t>(random.skewed(20)));
  for (Rig* r : {&fast, &slow}) {
    r->user([&] { tcp::open_active(r->env(), r->tcb, our_iss, 7, interface_mss, 536, r->now); });
    if (early) r->user([&] { (void)tcp::send_static(r->env(), r->tcb, text, r->now); });
    if (late) (void)r->timer_fires();
    r->pass(rtt);
  }
  wire::FullSyn h{.seq = their_iss,
                  .ack = our_iss + (spoilt() ? static_cast<std::uint32_t>(random.below(3)) : 1),
                  .flags = flag::syn | flag::ack,
                  .wscale = static_cast<std::uint8_t>(random.below(16)),
                  .stamped = settings.timestamps && random.chance(0.8),
                  .window = static_cast<std::uint16_t>(random.skewed(16)),
                  .mss = static_cast<std::uint16_t>(random.chance(0.5) ? 1460 : random.skewed(16)),
                  .stamp = {1'000'000, fast.now.ms32() + 7}};
  if (spoilt()) h.flags ^= static_cast<std::uint8_t>(1U << random.below(8));
  predicted = tcp::predicts_syn_ack(fast.env(), fast.tcb, h, 0);
  if (!predicted) return "";
  fast.user([&] { tcp::open_answered(fast.env(), fast.tcb, h, fast.now, fast.outcome); });
  std::array<std::byte, wire::FullSyn::length(true)> room;
  (void)wire::emit(h, 0, room.data());
  const std::span on_the_wire{room.data(), h.length()};
  wire::FullSyn again;
  EXPECT_TRUE(wire::read(on_the_wire, again));
  wire::Tcp parsed;
  EXPECT_EQ(wire::parse_tcp(on_the_wire, parsed), wire::Verdict::ok);
  EXPECT_EQ(
      std::tie(again.seq, again.ack, again.flags, again.wscale, again.window, again.mss, again.stamp.val),
      std::tie(parsed.seq, parsed.ack, parsed.flags, parsed.options.wscale, parsed.window, parsed.options.mss,
               parsed.options.ts_val));
  EXPECT_EQ(again.stamped, parsed.options.has_timestamps());
  slow.arrives(parsed, 0);
  return difference(fast, slow);
}

TEST(Prediction, AnswerToOurSynAndStepsAreTheSameFunction) {
  int predicted = 0;
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    bool is = false;
    const std::string d = answer_difference(seed, is);
    ASSERT_TRUE(d.empty()) << "seed " << seed << ": " << d << " differs";
    predicted += is;
  }
  EXPECT_GT(predicted, 1000);
  EXPECT_LT(predicted, 4500);
}

} // namespace prediction_test
} // namespace tern::rfc
