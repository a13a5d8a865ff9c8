// What a scrape of `tern lb` is answered with.
#pragma once

#include <optional>
#include <string>

#include "app/lb/control/sums.hpp"
#include "base/time.hpp"

namespace tern::app::lb {

// The cores are asked, and the control thread goes on meanwhile: the page comes at a later call.
class Scrape {
 public:
  // None: not all cores have answered, and they may yet. Once the patience with them is over, what they were asked for is
  // missing.
  [[nodiscard]] std::optional<std::string> page(Director&, Instant now);

 private:
  std::optional<AskedSums> asked_;
  Instant until_{};
};

} // namespace tern::app::lb
