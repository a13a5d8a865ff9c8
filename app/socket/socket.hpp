// The control socket: one line of words in, one answer out, then it is closed. `echo "show backends" | nc -U
// …` does what `tern ctl show backends` does. Never on the packet path: a thread of its own waits here.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tern::app {

class ControlSocket {
 public:
  static constexpr std::size_t longest_request = 4096;

  // Throws ConfigError. A socket that a dead process left behind is taken over; one that is answered is not.
  explicit ControlSocket(const std::string& path);
  ~ControlSocket(); // the path goes too
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  // Waits for at most this long, and answers those who came. Who sends no whole line within a second, or
  // takes the answer too slowly, is hung up on.
  void wait(int milliseconds, const std::function<std::string(std::string_view line)>& answer);

 private:
  std::string path_;
  int fd_ = -1;
};

// The other end: sends the line, gives back the whole answer. Throws ConfigError where nobody listens.
[[nodiscard]] std::string ask(const std::string& path, const std::string& line);

// Prints what ask() gave; a program's exit code: 1 if it was a refusal, which goes to stderr as text.
[[nodiscard]] int print_answer(const std::string& answer, bool json);

} // namespace tern::app
