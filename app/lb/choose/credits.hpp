// A limit of connections (a backend's, a service's), exact over all cores, without a share that is fixed for each: the bank
// holds what is free, a core borrows a few at a time and keeps some for its next connections.
//
//   a connection opens    on a credit the core kept, else it borrows; the bank empty: it is full
//   it ends               the credit is the core's again; what it has too many of goes back
//   the bank was empty    whoever has some is asked for them: settle(), once a tick, gives them back
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "app/lb/choose/slot.hpp"
#include "base/check.hpp"

namespace tern::app::lb {

inline constexpr std::size_t most_backends = 4096; // slots of the process
inline constexpr std::size_t most_services =
    1024; // and numbers of services, those that are gone but have connections with them

// One of the process. Any core may borrow and give back; the control thread sets limits.
class CreditBank {
 public:
  explicit CreditBank(unsigned cores, std::size_t accounts = most_backends)
      : cores_(cores), size_(accounts), accounts_(std::make_unique<Account[]>(accounts)) {}

  // 0: no limit. Lowering it below what is out makes the account negative: nothing new until enough have
  // ended.
  void set_limit(Slot s, std::uint32_t limit) {
    Account& a = accounts_[s];
    const std::uint32_t before = a.limit.exchange(limit, std::memory_order_relaxed);
    a.free.fetch_add(std::int64_t{limit} - before, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t limit(Slot s) const {
    return accounts_[s].limit.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  // What cores may still borrow; what they keep is not in it.
  [[nodiscard]] std::int64_t free(Slot s) const { return accounts_[s].free.load(std::memory_order_relaxed); }

 private:
  friend class CreditPurse;
  struct alignas(64) Account { // a line each: what two cores borrow of two backends does not meet
    std::atomic<std::int64_t> free{0};
    std::atomic<std::uint32_t> limit{0};
    std::atomic<std::uint32_t> wanted{0}; // bumped when somebody found it empty
  };

  // How many a core borrows at once: all cores together never keep more than a quarter of the limit unused.
  [[nodiscard]] std::int64_t batch(std::uint32_t limit) const {
    return std::clamp<std::int64_t>(limit / (8 * cores_), 1, 64);
  }
  [[nodiscard]] std::int64_t borrow(Account& a, std::int64_t most) const {
    std::int64_t there = a.free.load(std::memory_order_relaxed);
    while (there > 0) {
      const std::int64_t n = std::min(there, most);
      if (a.free.compare_exchange_weak(there, there - n, std::memory_order_relaxed)) return n;
    }
    return 0;
  }

  unsigned cores_;
  std::size_t size_;
  std::unique_ptr<Account[]> accounts_;
};

// One a core, used by it alone. Without a limit the bank is never touched; when one is set, what is open
// already is charged at the next settle().
class CreditPurse {
 public:
  explicit CreditPurse(CreditBank& bank) : bank_(&bank), own_(std::make_unique<Own[]>(bank.size())) {}

  // One more connection to this backend; false: it has as many as it may.
  [[nodiscard]] bool take(Slot s) {
    Own& o = own_[s];
    CreditBank::Account& a = bank_->accounts_[s];
    const std::uint32_t limit = a.limit.load(std::memory_order_relaxed);
    if (limit != 0 && o.charged <= o.open) {
      charge(o, a);
      const std::int64_t n = bank_->borrow(a, bank_->batch(limit));
      if (n == 0) {
        a.wanted.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
      o.charged += n;
    }
    ++o.open;
    return true;
  }
  // A connection to this backend ended.
  void give_back(Slot s) {
    Own& o = own_[s];
    TERN_DCHECK(o.open > 0);
    --o.open;
    if (o.charged <= o.open) return;
    CreditBank::Account& a = bank_->accounts_[s];
    const std::uint32_t limit = a.limit.load(std::memory_order_relaxed);
    // Where a batch is one nothing is kept: a core that rests would keep it from another that needs it.
    const std::int64_t batch = bank_->batch(limit);
    const std::int64_t most = limit == 0 || batch == 1 ? 0 : 2 * batch;
    if (o.charged - o.open > most || missed(o, a)) return_spare(o, a);
  }
  // Once a tick, for the slots in use: gives back what another core found missing.
  void settle(Slot s) {
    Own& o = own_[s];
    CreditBank::Account& a = bank_->accounts_[s];
    if (o.charged > o.open && missed(o, a)) return_spare(o, a);
    if (o.charged < o.open && a.limit.load(std::memory_order_relaxed) != 0) charge(o, a);
  }
  // Whether take() would succeed, as far as can be told without taking.
  [[nodiscard]] bool has(Slot s) const {
    const CreditBank::Account& a = bank_->accounts_[s];
    return a.limit.load(std::memory_order_relaxed) == 0 || own_[s].charged > own_[s].open ||
           a.free.load(std::memory_order_relaxed) > 0;
  }
  // What is missed here others shall give back.
  void want(Slot s) { bank_->accounts_[s].wanted.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t open(Slot s) const {
    return static_cast<std::uint32_t>(own_[s].open); // this core's connections to it
  }

 private:
  struct Own {
    std::int64_t open = 0;
    std::int64_t charged = 0; // of the bank's: more than open is kept for the next
    std::uint32_t seen = 0;   // of `wanted`
  };
  static bool missed(const Own& o, const CreditBank::Account& a) {
    return o.seen != a.wanted.load(std::memory_order_relaxed) || a.free.load(std::memory_order_relaxed) < 0;
  }
  static void return_spare(Own& o, CreditBank::Account& a) {
    a.free.fetch_add(o.charged - o.open, std::memory_order_relaxed);
    o.charged = o.open;
    o.seen = a.wanted.load(std::memory_order_relaxed);
  }
  static void charge(Own& o, CreditBank::Account& a) { // what opened while there was no limit
    if (o.charged < o.open) a.free.fetch_sub(o.open - o.charged, std::memory_order_relaxed);
    o.charged = std::max(o.charged, o.open);
  }

  CreditBank* bank_;
  std::unique_ptr<Own[]> own_;
};

} // namespace tern::app::lb
