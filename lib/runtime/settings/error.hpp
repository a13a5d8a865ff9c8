// Errors of configuration: thrown where they are found, caught once (run_guarded), printed as one line a
// person can act on.
#pragma once

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tern::settings {

inline constexpr int exit_config = 2; // what a process returns for an error of configuration

// `where` is "file:line:column", "file" or "--option"; `what` says what is wrong and what to do.
class ConfigError : public std::runtime_error {
 public:
  ConfigError(const std::string& where, const std::string& what);
};

// The known name that `word` most likely meant; empty when none is near enough to be worth naming.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> known);

// "; did you mean 'x'?" or nothing.
[[nodiscard]] std::string suggestion(std::string_view word, std::span<const std::string> known);

// Runs the body of main. A ConfigError becomes its line on stderr and exit code 2; any other exception exit
// code 1.
[[nodiscard]] int run_guarded(const std::function<int()>& body);

} // namespace tern::settings
