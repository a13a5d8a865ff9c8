// Which of its options a load makes nothing of: what the report does not tell as its settings.
#pragma once

#include <vector>

#include "app/client/search.hpp"
#include "app/client/settings.hpp"

namespace tern::app {

[[nodiscard]] std::vector<const char*> unused_options(const LoadSettings&, const SearchSettings&);

} // namespace tern::app
