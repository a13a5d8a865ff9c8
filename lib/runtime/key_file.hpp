// The secret of cookies, ISNs and timestamps as a file, so that several machines can have the same.
#pragma once

#include <string>

#include "base/siphash.hpp"

namespace tern {

// 32 hex digits, white space aside. Throws ConfigError. Whoever reads the key can open connections in any
// name: a file that others may read is refused.
[[nodiscard]] SipKey read_key_file(const std::string& path);

} // namespace tern
