// A result as one HTML page that needs nothing else: no script, no font, no network. The JSON is in it.
#pragma once

#include <string>

#include "observe/result.hpp"

namespace tern::observe {

[[nodiscard]] std::string to_html(const Result& r);

} // namespace tern::observe
