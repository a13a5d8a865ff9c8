// The control socket: one line of words in, one answer out, then it is closed. `echo "show backends" | nc -U
// …` does what `tern ctl show backends` does. Never on the packet path: a thread of its own waits here.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "app/socket/callers.hpp"

namespace tern::app {

class ControlSocket {
 public:
  using Answers = std::function<std::string(std::string_view line)>;
  static constexpr std::size_t longest_request = 4096;

  // Throws ConfigError. A socket that a dead process left behind is taken over; one that is answered is not.
  explicit ControlSocket(const std::string& path,
                         std::chrono::milliseconds patience = std::chrono::seconds(1));
  ~ControlSocket(); // the path goes too
  ControlSocket(ControlSocket&& o) noexcept
      : path_(std::exchange(o.path_, {})), callers_(std::move(o.callers_)) {}
  ControlSocket& operator=(ControlSocket&&) = delete;

  // As Callers::wait: who sends no whole line within `patience`, or takes nothing of the answer for so long, is hung up on.
  void wait(int milliseconds, const Answers& answer);

 private:
  std::string path_; // empty: another has taken over
  std::optional<Callers> callers_;
};

// The other end: sends the line, gives back the whole answer. Throws ConfigError where nobody listens, or who does says
// nothing for so long: a core that is stuck costs the answerer two seconds.
[[nodiscard]] std::string ask(const std::string& path, const std::string& line,
                              std::chrono::milliseconds patience = std::chrono::seconds(60));

// Prints what ask() gave; a program's exit code: 1 if it was a refusal, which goes to stderr as text.
[[nodiscard]] int print_answer(const std::string& answer, bool json);

} // namespace tern::app
