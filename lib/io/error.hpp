// What start-up says when a port or the EAL cannot be had: one line a person can act on. Never thrown on the
// packet path.
#pragma once

#include <stdexcept>
#include <string>

namespace tern::io {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what) : std::runtime_error(what) {}
};

// Huge pages were asked for, and there are too few.
class HugePagesError : public Error {
 public:
  using Error::Error;
};

} // namespace tern::io
