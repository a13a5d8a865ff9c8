// What a scrape of `tern lb` is answered with.
#pragma once

#include <string>

namespace tern::app::lb {

class Director;
[[nodiscard]] std::string metrics_page(Director&);

} // namespace tern::app::lb
