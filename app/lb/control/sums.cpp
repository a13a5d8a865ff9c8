#include "app/lb/control/sums.hpp"

#include <algorithm>

namespace tern::app::lb {

AskedSums::AskedSums(Director& d)
    : numbers_(d.planner().numbers_given()),
      slots_(d.planner().backends().size()),
      services_(d.planner().services().size()) {
  for (const Directed& core : d.cores())
    of_.emplace_back(*core.handle, *core.splice,
                     [slots = slots_, services = services_](CoreHandle&, Splice& s) {
                       Sums m;
                       for (std::size_t i = 0; i < slots; ++i) {
                         m.open.push_back(s.purse().open(static_cast<Slot>(i)));
                         m.slots.push_back(i < s.plan().backends.size() ? s.slot_counts(static_cast<Slot>(i))
                                                                        : Splice::SlotCounts{});
                       }
                       for (std::size_t i = 0; i < services; ++i) {
                         const auto number = static_cast<std::uint16_t>(i);
                         m.in_service.push_back(s.open_of_service(number));
                         m.accepted.push_back(i < s.plan().services.size() ? s.accepted(number) : 0);
                       }
                       return m;
                     });
}

bool AskedSums::over() const {
  return std::ranges::all_of(of_, &Asked<Sums>::over);
}

std::optional<Sums> AskedSums::take() {
  Sums all{std::vector<std::uint32_t>(slots_), std::vector<Splice::SlotCounts>(slots_),
           std::vector<std::uint32_t>(services_), std::vector<std::uint64_t>(services_)};
  for (Asked<Sums>& one : of_) {
    const auto mine = one.take();
    if (!mine) return std::nullopt;
    for (std::size_t i = 0; i < slots_; ++i) {
      all.open[i] += mine->open[i];
      all.slots[i].tried += mine->slots[i].tried;
      all.slots[i].connected += mine->slots[i].connected;
      all.slots[i].failed += mine->slots[i].failed;
    }
    for (std::size_t i = 0; i < services_; ++i) {
      all.in_service[i] += mine->in_service[i];
      all.accepted[i] += mine->accepted[i];
    }
  }
  return all;
}

std::optional<Sums> sums(Director& d) {
  AskedSums asked(d);
  Director::wait([&] { return asked.over(); });
  return asked.take();
}

std::string state_of(Director& d, Slot slot) {
  const Planner::Backend& b = d.planner().backends()[slot];
  if (b.gone) return "removed";
  const Admin admin = d.shared().backends.admin(slot);
  if (admin != Admin::ready) return name_of(admin);
  return d.shared().backends.up(slot) ? "up" : "down";
}

} // namespace tern::app::lb
