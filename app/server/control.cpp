#include "app/server/control.hpp"

#include <algorithm>
#include <utility>

#include "app/ss/sockets.hpp"
#include "runtime/ask.hpp"

namespace tern::app {
namespace {

Answer answer(std::span<CoreHandle* const> cores, std::span<const std::string_view> words) {
  if (words.size() == 1 && words[0] == "help")
    return {.text = "show sockets [state=S,…] [local=END] [peer=END] [limit=N] [info] [listening] [summary]",
            .rows = {}};
  if (words.size() < 2 || words[0] != "show" || words[1] != "sockets")
    return mistake("a tern server knows one command, show sockets; tern ss writes it for you");
  return answer_sockets(
      cores,
      [cores](std::size_t core, const std::function<CoreFacts(CoreHandle&)>& call) {
        return ask(*cores[core], call);
      },
      words.subspan(2));
}

} // namespace

ServerControl::ServerControl(const DoorSettings& v) {
  if (!v.control.empty()) socket_.emplace(v.control);
  if (v.metrics.end) metrics_.emplace(*v.metrics.end);
}

void ServerControl::operator()(std::span<CoreHandle* const> cores, const Figures& figures) {
  if (metrics_)
    metrics_->wait(0, [&figures] {
      observe::MetricsPage page;
      add(page, figures);
      return page.text();
    });
  if (!socket_) return;
  socket_->wait(0, [cores](std::string_view line) {
    const auto words = words_of(line);
    const bool json = !words.empty() && words[0] == "json";
    const Answer a = answer(cores, std::span{words}.subspan(json ? 1 : 0));
    return json ? as_json(a) : as_text(a);
  });
}

} // namespace tern::app
