#include "app/socket/callers.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <thread>

namespace tern::app {

void Callers::wait(int milliseconds, const Answers& answer) {
  look(Clock::now() + std::chrono::milliseconds(milliseconds), answer);
  // A reader that keeps up gets a long answer in one call, and not a buffer of it each time.
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(20);
  while (std::ranges::any_of(callers_, &Caller::unsent) && Clock::now() < end) look(end, answer);
}

// At those who have something to say, or take something; waits for the first of them until `until`.
void Callers::look(Clock::time_point until, const Answers& answer) {
  polled_.assign(1, {listener_.get(), POLLIN, 0});
  for (const Caller& c : callers_) {
    const int awaited = c.unsent() ? POLLOUT : c.over && !c.answered ? 0 : POLLIN;
    polled_.push_back({c.fd.get(), static_cast<short>(awaited), 0});
    until = std::min(until, c.deadline);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  if (poll(polled_.data(), polled_.size(), static_cast<int>(std::max<std::int64_t>(left, 0))) < 0) return;
  std::size_t i = 0;
  std::erase_if(callers_, [&](Caller& c) {
    return polled_[++i].revents != 0 || c.waits() ? !serve(c, answer) : Clock::now() >= c.deadline;
  });
  if (polled_[0].revents != 0) take_new(answer);
}

// Those who came. The one that has kept us waiting longest gives way where there are too many: a hundred who say nothing do
// not keep out one who has a question.
void Callers::take_new(const Answers& answer) {
  for (std::size_t n = 0; n < most; ++n) {
    Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const bool no_room = fd.get() < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
    if (fd.get() < 0 && !no_room) return;
    if ((no_room || callers_.size() >= most) && !callers_.empty())
      callers_.erase(std::ranges::min_element(callers_, {}, &Caller::deadline));
    if (no_room) return std::this_thread::sleep_for(std::chrono::milliseconds(10));
    callers_.push_back({.fd = std::move(fd), .deadline = Clock::now() + manners_.patience});
    if (!serve(callers_.back(), answer)) callers_.pop_back();
  }
}

// What can be done for it without waiting. False: it is done with.
bool Callers::serve(Caller& c, const Answers& answer) {
  if (!c.answered && !read_some(c, answer)) return false;
  if (!c.answered) return true;
  const bool anything = c.unsent();
  while (c.unsent()) {
    const ssize_t n =
        send(c.fd.get(), c.text.data() + c.sent, c.text.size() - c.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && Clock::now() < c.deadline;
    c.sent += static_cast<std::size_t>(n);
    c.deadline = Clock::now() + manners_.patience; // who still reads may have it all
  }
  if (!manners_.hears_out || c.sent == 0) return false;
  if (anything) {
    shutdown(c.fd.get(), SHUT_WR);
    c.text = std::string(); // nobody has to keep it any more
  }
  return hear_out(c);
}

// False: it left, or there will be no question of it.
bool Callers::read_some(Caller& c, const Answers& answer) {
  while (!told(c, answer)) {
    if (c.over) return Clock::now() < c.deadline;
    char piece[512];
    const ssize_t n = recv(c.fd.get(), piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return (errno == EAGAIN || errno == EWOULDBLOCK) && Clock::now() < c.deadline;
    c.text.append(piece, static_cast<std::size_t>(n));
    c.over = n == 0 || c.text.size() > manners_.longest;
  }
  return true;
}

bool Callers::told(Caller& c, const Answers& answer) const {
  std::optional<std::string> known = answer({.text = c.text, .over = c.over, .busy = busy()});
  if (!known) return false;
  c.text = std::move(*known);
  c.answered = true;
  c.deadline = Clock::now() + manners_.patience;
  return true;
}

// Until it closes its end, or its time is over; some at a time, whatever it says. False: it is done with.
bool Callers::hear_out(Caller& c) const {
  char piece[4096];
  for (int i = 0; i < 16; ++i) {
    const ssize_t n = recv(c.fd.get(), piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return (errno == EAGAIN || errno == EWOULDBLOCK) && Clock::now() < c.deadline;
    if (n == 0) return false;
  }
  return Clock::now() < c.deadline;
}

bool Callers::busy() const {
  std::size_t unsent = 0;
  for (const Caller& c : callers_)
    if (c.unsent()) unsent += c.text.size();
  return unsent > most_unsent;
}

} // namespace tern::app
