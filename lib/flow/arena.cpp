#include "flow/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>

#include "base/pages.hpp"
#include "base/pool.hpp"

namespace tern {
namespace {

constexpr std::uint64_t small_page = 4096;
constexpr std::uint64_t huge_page = std::uint64_t{2} << 20;
constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t first_offset = small_page; // offset 0 is null, and null's page stays without access
constexpr std::uint64_t no_hole = std::numeric_limits<std::uint64_t>::max();

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t unit) {
  return (n + unit - 1) / unit * unit;
}
constexpr std::uint64_t granularity(std::uint64_t bytes) {
  return bytes >= huge_page ? huge_page : small_page;
}
// Saturated requests must not wrap round to a small one.
constexpr std::uint64_t room_for(std::uint64_t bytes) {
  if (bytes > std::numeric_limits<std::uint64_t>::max() - huge_page) return bytes;
  return round_up(std::max<std::uint64_t>(bytes, 1), granularity(bytes));
}
constexpr std::uint64_t add_saturated(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::uint64_t>::max() : sum;
}

std::string in_mib(std::uint64_t bytes) {
  return bytes < mib ? std::to_string((bytes + 1023) / 1024) + " KiB"
                     : std::to_string((bytes + mib - 1) / mib) + " MiB";
}

// "MemAvailable:   23813 kB", in the file's own units.
std::uint64_t meminfo(std::string_view field) {
  std::ifstream in("/proc/meminfo");
  for (std::string name; in >> name;) {
    std::uint64_t value = 0;
    if (!(in >> value)) break;
    if (name == field) return value;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

std::optional<std::uint64_t> number_in(const char* path) {
  std::ifstream in(path);
  std::uint64_t v = 0;
  if (in >> v) return v;
  return std::nullopt; // no such file, or "max"
}

std::uint64_t free_huge_bytes() {
  return meminfo("HugePages_Free:") * meminfo("Hugepagesize:") * 1024;
}

std::uint64_t memory_available() {
  std::uint64_t bytes = meminfo("MemAvailable:") * 1024;
  const auto most = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (most && used) bytes = std::min(bytes, *most > *used ? *most - *used : 0);
  return bytes;
}

bool transparent_allowed() {
  std::ifstream in("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string all;
  std::getline(in, all);
  return !all.empty() && all.find("[never]") == std::string::npos;
}

std::string describe(const ArenaRequest& r) {
  const std::uint64_t n = std::max(r.count, r.holds);
  return std::to_string(n) + " " + r.name + " x " + std::to_string(n == 0 ? 0 : r.bytes() / n) +
         " B = " + in_mib(r.bytes());
}

} // namespace

std::string_view to_string(PageKind kind) {
  switch (kind) {
    case PageKind::huge:
      return "2 MiB pages";
    case PageKind::transparent:
      return "transparent 2 MiB pages";
    case PageKind::small:
      break;
  }
  return "4 KiB pages";
}

std::uint64_t ArenaRequest::bytes() const {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(count, bytes_each, &product) ? std::numeric_limits<std::uint64_t>::max()
                                                             : product;
}

std::string ArenaReservation::to_string() const {
  const std::uint64_t n = std::max(request.count, request.holds);
  return "reserved " + in_mib(bytes) + " for " + std::to_string(n) + " " + request.name + " (" +
         std::to_string(n == 0 ? 0 : request.bytes() / n) + " B each, " +
         std::string(tern::to_string(pages)) + ")";
}

ArenaPiece::~ArenaPiece() {
  if (owner_ != nullptr) owner_->give_back(data_, size_);
}

Arena::Arena(const Settings& settings) : settings_(settings) {
  if (settings_.reach > compact_reach || settings_.reach % huge_page != 0 || settings_.reach == 0)
    throw ArenaError("arena: the reach must be a multiple of 2 MiB, at most 32 GiB");
  if (settings_.memory == 0)
    settings_.memory = add_saturated(memory_available(), settings_.huge_pages ? free_huge_bytes() : 0);
  mapping_size_ = settings_.reach + huge_page;
  void* p = mmap(nullptr, mapping_size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    throw ArenaError("arena: can't reserve " + in_mib(mapping_size_) + " of addresses: " +
                     std::strerror(errno) + "; lift the limit on virtual memory: ulimit -v unlimited");
  mapping_ = static_cast<std::byte*>(p);
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  base_ = mapping_ + (round_up(at, huge_page) - at);
}

Arena::~Arena() {
  munmap(mapping_, mapping_size_);
}

void Arena::require(std::span<const ArenaRequest> requests) const {
  const std::lock_guard lock(mutex_);
  require_locked(requests);
}

void Arena::require_locked(std::span<const ArenaRequest> requests) const {
  std::uint64_t wanted = 0;
  std::string sum;
  for (const auto& r : requests) {
    wanted = add_saturated(wanted, room_for(r.bytes()));
    sum += (sum.empty() ? "" : " + ") + describe(r);
  }
  const std::uint64_t total = add_saturated(wanted, reserved_);
  const bool in_memory = total <= settings_.memory;
  const bool in_reach = total <= settings_.reach - first_offset;
  if (in_memory && in_reach) return;
  std::string what = "memory: " + sum;
  if (requests.size() > 1) what += " = " + in_mib(wanted);
  if (reserved_ != 0) what += ", and " + in_mib(reserved_) + " reserved already, = " + in_mib(total);
  what += in_reach ? ": more than the " + in_mib(settings_.memory) + " available"
                   : ": more than the " + in_mib(settings_.reach) + " that 32-bit record pointers reach";
  std::vector<ArenaRequest> asked{requests.begin(), requests.end()};
  for (const auto& [offset, piece] : taken_) asked.push_back(piece.request);
  throw ArenaError(what + "; lower the limits", in_reach ? ArenaError::Why::memory : ArenaError::Why::reach,
                   settings_.memory, std::move(asked));
}

// First fit. Start-up only, and a process has dozens of pieces, not millions.
std::uint64_t Arena::find_hole(std::uint64_t bytes, std::uint64_t alignment) const {
  std::uint64_t at = round_up(first_offset, alignment);
  for (const auto& [offset, piece] : taken_) {
    if (at + bytes <= offset) return at;
    at = std::max(at, round_up(offset + piece.bytes, alignment));
  }
  return at + bytes <= settings_.reach ? at : no_hole;
}

PageKind Arena::commit(std::byte* at, std::uint64_t bytes) const {
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  if (settings_.huge_pages && bytes % huge_page == 0 && free_huge_bytes() >= bytes &&
      mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0) !=
          MAP_FAILED)
    return PageKind::huge;
  if (mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0) == MAP_FAILED)
    throw ArenaError("arena: can't commit " + in_mib(bytes) + ": " + std::strerror(errno) +
                     "; lower the limits, or see ulimit -d and vm.overcommit_memory");
  if (bytes % huge_page == 0 && transparent_allowed() && madvise(at, bytes, MADV_HUGEPAGE) == 0)
    return PageKind::transparent;
  return PageKind::small;
}

ArenaPiece Arena::take(const ArenaRequest& request) {
  std::unique_lock lock(mutex_);
  require_locked({&request, 1});
  const std::uint64_t bytes = room_for(request.bytes());
  const std::uint64_t offset = find_hole(bytes, granularity(bytes));
  if (offset == no_hole)
    throw ArenaError("memory: no run of " + in_mib(bytes) + " addresses is left for " + describe(request));
  std::byte* at = base_ + offset;
  const PageKind pages = commit(at, bytes);
  taken_.emplace(offset, ArenaReservation{request, bytes, pages});
  reserved_ += bytes;
  const bool whole = settings_.prefault || request.ready >= request.count;
  lock.unlock(); // others may have theirs made meanwhile
  make_pages(at, whole ? bytes : request.ready * request.bytes_each);
  return ArenaPiece{this, at, bytes};
}

void Arena::give_back(void* data, std::size_t size) {
  const std::lock_guard lock(mutex_);
  unpoison(data, size); // a slab may have died with free records in it
  // Mapped over, not unmapped: a hole could be taken by anyone's mmap.
  void* p = mmap(data, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  TERN_CHECK(p == data);
  const auto it = taken_.find(static_cast<std::uint64_t>(static_cast<std::byte*>(data) - base_));
  TERN_CHECK(it != taken_.end() && it->second.bytes == size);
  reserved_ -= size;
  taken_.erase(it);
}

std::vector<ArenaReservation> Arena::reservations() const {
  const std::lock_guard lock(mutex_);
  std::vector<ArenaReservation> all;
  for (const auto& [offset, piece] : taken_) all.push_back(piece);
  return all;
}

std::uint64_t Arena::reserved() const {
  const std::lock_guard lock(mutex_);
  return reserved_;
}

std::uint64_t Arena::huge_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [offset, piece] : taken_)
    if (piece.pages == PageKind::huge) sum += piece.bytes;
  return sum;
}

std::uint64_t Arena::memory() const {
  const std::lock_guard lock(mutex_);
  return settings_.memory;
}

void Arena::set_memory(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  settings_.memory = std::min(settings_.memory, bytes);
}

void Arena::set_prefault(bool on) {
  const std::lock_guard lock(mutex_);
  settings_.prefault = on;
}

Arena& process_arena() {
  // Leaked on purpose: pieces may be given back by other statics' destructors.
  static Arena& arena = []() -> Arena& {
    auto* made = new Arena(Arena::Settings{});
    arena_base = made->base();
    return *made;
  }();
  return arena;
}

} // namespace tern
