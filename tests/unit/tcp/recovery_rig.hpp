// A sender that is nothing but Recovery, a path with a script, and a receiver that acknowledges every
// segment: what is retransmitted when, without the engine.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "tcp/recovery/recovery.hpp"
#include "tcp/recovery/rtt.hpp"
#include "tcp/side_memory.hpp"

namespace tern::tcp::test {

class Rig {
 public:
  static constexpr std::uint16_t mss = 1000;
  struct Sent {
    std::int64_t at_us;
    std::uint32_t segment; // number, from 0
    bool again;
  };
  enum class Fate { Arrives, Lost };

  // ---- The script; all may be changed before the run.
  Settings settings;
  std::uint32_t segments = 100;     // the application's
  std::int64_t one_way_us = 50'000; // each direction
  std::int64_t per_segment_us = 10; // the slowest link's time for one
  std::uint32_t window = 64 * 1024 * 1024;
  // The n-th transmission (from 0) of a segment: lost? and how much longer is it on its way?
  std::function<Fate(std::uint32_t segment, unsigned nth)> fate = [](std::uint32_t, unsigned) {
    return Fate::Arrives;
  };
  std::function<std::int64_t(std::uint32_t segment, unsigned nth)> extra_us = [](std::uint32_t, unsigned) {
    return std::int64_t{0};
  };
  std::function<std::int64_t(std::uint32_t ack_number)> ack_extra_us = [](std::uint32_t) {
    return std::int64_t{0};
  };
  std::function<bool(std::uint32_t ack_number)> ack_lost = [](std::uint32_t) { return false; };
  std::function<bool(std::uint32_t segment)> marked_ce = [](std::uint32_t) { return false; };

  // ---- What happened.
  std::vector<Sent> sent;
  std::vector<std::pair<std::int64_t, std::uint32_t>> windows; // (time, cwnd) after every ACK
  unsigned timeouts = 0;
  unsigned probes = 0;
  unsigned undone = 0;
  std::uint32_t worst_entries = 0;
  Tcb t;
  TcpCounters counters;

  explicit Rig(std::uint32_t flags = flag_sack | flag_timestamps,
               SideCounts counts = {.recovery = 1, .tx_log = 64})
      : side_(counts),
        env_{.settings = settings, .counters = counters, .packets = {}, .side = side_.pools()} {
    t.state = State::Established;
    t.flags = flags;
    t.mss = mss;
    t.snd_una = t.snd_nxt = t.snd_end = t.iss = Seq{0xffff'8000}; // wraps after 33 segments
    t.recover = t.snd_una;
    base_ = t.snd_una;
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    if (r_ != nullptr) {
      r_->release(env_);
      env_.side.recovery->give_back(r_);
    }
    EXPECT_EQ(side_.used(), 0U);
  }

  Recovery& recovery() { return *r_; }
  [[nodiscard]] std::int64_t now_us() const { return now_us_; }
  [[nodiscard]] bool done() const { return acked_segments() == segments; }
  [[nodiscard]] std::uint32_t acked_segments() const { return t.snd_una.since(base_) / mss; }
  [[nodiscard]] unsigned again() const {
    return static_cast<unsigned>(
        std::count_if(sent.begin(), sent.end(), [](const Sent& s) { return s.again; }));
  }
  [[nodiscard]] std::vector<Sent> resent() const {
    std::vector<Sent> v;
    std::copy_if(sent.begin(), sent.end(), std::back_inserter(v), [](const Sent& s) { return s.again; });
    return v;
  }

  // Runs until everything is acknowledged or virtual time is out.
  void run(std::int64_t until_us = 600'000'000) {
    if (t.cwnd == 0) t.cwnd = std::uint32_t{settings.initial_window} * mss;
    t.snd_end = base_ + segments * mss;
    t.snd_wnd = window;
    output();
    while (!done() && now_us_ < until_us) {
      const std::int64_t timer = timer_at_;
      const std::int64_t event = events_.empty() ? never : events_.begin()->first;
      const std::int64_t next = std::min(timer, event);
      if (next == never || next > until_us) break;
      now_us_ = next;
      if (event <= timer) {
        auto f = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        f();
      } else {
        fire();
      }
      check();
    }
  }
  // More text from the application.
  void send_more(std::uint32_t n, std::int64_t after_us) {
    segments += n;
    now_us_ += after_us;
    run();
  }

 private:
  static constexpr std::int64_t never = INT64_MAX;
  enum class Timer { Off, Rto, Tlp, Rack };

  [[nodiscard]] Instant now() const { return Instant::at_ns((now_us_ + epoch_us) * 1000); }
  static constexpr std::int64_t epoch_us = 0xffff'0000LL; // the µs clock wraps in every test

  // ---- The path.
  void on_wire(std::uint32_t segment, bool again) {
    sent.push_back({now_us_, segment, again});
    const unsigned nth = times_[segment]++;
    link_free_us_ = std::max(link_free_us_, now_us_) + per_segment_us;
    if (fate(segment, nth) == Fate::Lost) return;
    const std::uint32_t ts = now().ms32();
    const bool ce = marked_ce(segment);
    events_.emplace(link_free_us_ + one_way_us + extra_us(segment, nth),
                    [this, segment, ts, ce] { receive(segment, ts, ce); });
  }

  // ---- The receiver: acknowledges at once; SACK blocks by recency, D-SACK first.
  void receive(std::uint32_t segment, std::uint32_t ts, bool ce) {
    std::optional<wire::SackBlock> dup;
    const auto block = [&](std::uint32_t from, std::uint32_t to) {
      return wire::SackBlock{base_ + from * mss, base_ + to * mss};
    };
    if (segment < rcv_next_ || held_.contains(segment)) {
      dup = block(segment, segment + 1);
    } else {
      held_[segment] = ++arrivals_;
      if (segment == rcv_next_) echo_ = ts; // RFC 7323 §4.3: what moves the left edge is echoed
      while (held_.contains(rcv_next_)) held_.erase(rcv_next_++);
    }
    if (segment == rcv_next_) echo_ = ts;
    if (!echo_) echo_ = ts;
    std::vector<std::pair<std::uint64_t, wire::SackBlock>> found;
    for (auto i = held_.begin(); i != held_.end();) {
      const std::uint32_t from = i->first;
      std::uint32_t to = from;
      std::uint64_t newest = 0;
      for (; i != held_.end() && i->first == to; ++i, ++to) newest = std::max(newest, i->second);
      found.emplace_back(newest, block(from, to));
    }
    std::sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.first > b.first; });
    std::vector<wire::SackBlock> blocks;
    if (dup) blocks.push_back(*dup);
    for (auto& f : found)
      if (blocks.size() < 3) blocks.push_back(f.second);
    const std::uint32_t number = ack_number_++;
    if (ack_lost(number)) return;
    const Seq ack = base_ + rcv_next_ * mss;
    events_.emplace(now_us_ + one_way_us + ack_extra_us(number),
                    [this, ack, blocks, ce, ecr = *echo_] { take_ack(ack, blocks, ce, ecr); });
  }

  // ---- The sender, as the engine drives Recovery.
  void take_ack(Seq ack, const std::vector<wire::SackBlock>& blocks, bool ece, std::uint32_t ecr) {
    AckInfo info{.una_before = t.snd_una};
    if (ack.before(t.snd_una))
      info.behind = t.snd_una.since(ack);
    else
      info.acked = ack.since(t.snd_una);
    if (t.has(flag_sack)) info.sack = blocks;
    info.ece = ece && t.has(flag_ecn);
    info.pure = info.behind == 0;
    const bool newer = info.acked != 0;
    if (newer && t.has(flag_timestamps)) info.ts_ecr_us_rtt = std::max(now().ms32() - ecr, 1U) * 1000;
    t.snd_una += info.acked;
    if (newer) {
      t.rtx_backoff = t.rtx_count = 0;
      t.clear(flag_timing);
    }
    if (r_ != nullptr) {
      const AckVerdict v = r_->on_ack(env_, t, info, now());
      if (v.rtt_us != 0) rtt::add_sample(t, settings, v.rtt_us);
      undone += v.undone;
    } else if (newer) {
      rtt::add_sample(t, settings, static_cast<std::uint32_t>(now_us_ - first_sent_us_));
    }
    windows.emplace_back(now_us_, t.cwnd);
    if (newer || r_ != nullptr) arm(newer);
    output();
  }

  void output() {
    if (t.has(flag_retransmit_head) && t.outstanding() != 0) {
      resend({t.snd_una, std::min<std::uint32_t>(mss, t.outstanding())});
      t.clear(flag_retransmit_head);
    }
    if (r_ != nullptr) {
      for (unsigned guard = 0; r_->allowance(t) != 0; ++guard) {
        ASSERT_LT(guard, 100'000U) << "the same range for ever";
        const auto lost = r_->next_lost(t);
        if (!lost) break;
        resend(*lost);
      }
    }
    if (probe_due_) {
      probe_due_ = false;
      ++probes;
      const SendRange p = r_->tail_probe(t);
      if (p.length != 0) resend(p);
      r_->on_tail_probe(t, now());
      arm(true);
    }
    while (t.unsent() != 0) {
      const std::uint32_t out = t.outstanding();
      const std::uint32_t allowed = r_ != nullptr ? r_->allowance(t) : (t.cwnd > out ? t.cwnd - out : 0);
      if (allowed < mss || out + mss > t.snd_wnd) break;
      if (out != 0 && r_ == nullptr) r_ = env_.side.recovery->take(settings, t, now());
      if (t.outstanding() == 0) first_sent_us_ = now_us_;
      const Seq seq = t.snd_nxt;
      t.snd_nxt += mss;
      if (!t.has(flag_timing)) {
        t.set(flag_timing);
        t.timed_seq = seq;
        t.timed_at_us = now().us32();
      }
      if (r_ != nullptr) r_->on_transmit(env_, t, {seq, mss}, false, now());
      on_wire(seq.since(base_) / mss, false);
      if (timer_at_ == never || (r_ != nullptr && r_->probe_timeout_us(t) != 0)) arm(true);
    }
  }
  void resend(SendRange range) {
    ASSERT_TRUE(range.seq.at_or_after(t.snd_una));
    ASSERT_TRUE((range.seq + range.length).at_or_before(t.snd_nxt));
    ASSERT_LE(range.length, mss);
    if (r_ != nullptr) r_->on_transmit(env_, t, range, true, now());
    t.clear(flag_timing);
    if (range.seq == t.snd_una) arm(true);
    on_wire(range.seq.since(base_) / mss, true);
  }

  void arm(bool restart) {
    if (t.outstanding() == 0) {
      timer_at_ = never;
      if (r_ != nullptr) r_->on_idle(settings, t, now());
      return;
    }
    if (r_ != nullptr) {
      if (const std::uint32_t at = r_->rack_deadline_us(); at != 0) {
        timer_at_ = now_us_ + std::max(0, static_cast<std::int32_t>(at - now().us32()));
        timer_ = Timer::Rack;
        return;
      }
      const std::uint32_t pto = restart ? r_->probe_timeout_us(t) : 0;
      if (pto != 0 && t.rtx_backoff == 0) {
        timer_at_ = now_us_ + std::min<std::int64_t>(pto, rtt::rto(t, settings).as_us());
        timer_ = Timer::Tlp;
        return;
      }
    }
    if (restart || timer_at_ == never || timer_ == Timer::Rack) {
      timer_at_ = now_us_ + (rtt::rto(t, settings).as_us() << std::min<int>(t.rtx_backoff, 6));
      timer_ = Timer::Rto;
    }
  }
  void fire() {
    const Timer what = timer_;
    timer_at_ = never;
    if (what == Timer::Rack) {
      r_->on_rack_timer(env_, t, now());
      arm(true);
    } else if (what == Timer::Tlp) {
      probe_due_ = true;
    } else {
      ++timeouts;
      if (r_ != nullptr)
        r_->on_rto(env_, t, now());
      else
        t.set(flag_retransmit_head);
      ++t.rtx_count, ++t.rtx_backoff;
      arm(true);
    }
    output();
  }

  // What holds at every moment.
  void check() {
    if (r_ == nullptr) return;
    const TxLog& log = r_->log();
    worst_entries = std::max<std::uint32_t>(worst_entries, log.entries());
    ASSERT_LE(r_->in_flight(t), t.outstanding());
    ASSERT_LE(log.sacked() + log.lost(), t.outstanding());
    ASSERT_GE(t.cwnd, mss);
    Seq at = t.snd_una;
    log.each([&](Seq l, Seq right, const TxEntry&) {
      ASSERT_EQ(l, at);
      ASSERT_TRUE(l.before(right));
      at = right;
    });
    ASSERT_TRUE(at.at_or_before(t.snd_nxt));
  }

  SideMemory side_;
  Env env_;
  Recovery* r_ = nullptr;
  Seq base_;
  std::int64_t now_us_ = 0;
  std::int64_t first_sent_us_ = 0;
  std::int64_t link_free_us_ = 0;
  std::int64_t timer_at_ = never;
  Timer timer_ = Timer::Off;
  bool probe_due_ = false;
  std::multimap<std::int64_t, std::function<void()>> events_;
  std::map<std::uint32_t, unsigned> times_;
  std::map<std::uint32_t, std::uint64_t> held_;
  std::uint64_t arrivals_ = 0;
  std::uint32_t rcv_next_ = 0;
  std::uint32_t ack_number_ = 0;
  std::optional<std::uint32_t> echo_;
};

} // namespace tern::tcp::test
