#include "runtime/node.hpp"

#include "runtime/settings/values.hpp"

namespace tern {

void declare_listen_options(settings::Schema& s, ServeSettings& v) {
  s.add("listen", v.listen, "ports to listen on, each a port or a range");
  s.add("duration", v.duration, "how long to serve (0s: until a signal)");
  s.add("drain", v.drain, "how long open connections may take to end once we were told to stop");
}

void declare_serve_options(settings::Schema& s, ServeSettings& v) {
  declare_listen_options(s, v);
  declare_port_options(s, v.node);
  declare_tcp_options(s, v.node);
}

void check_listen(const settings::Schema& s, const ServeSettings& v) {
  using Text = settings::Value<settings::PortRange>;
  if (v.listen.empty()) s.fail("listen", "nothing is listened to; name a port, such as 80");
  for (const settings::PortRange& r : v.listen)
    if (r.first.raw() == 0) s.fail("listen", "0 is no port; name one that clients can ask, such as 80");
  for (std::size_t i = 0; i < v.listen.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (v.listen[k].first <= v.listen[i].last && v.listen[i].first <= v.listen[k].last)
        s.fail("listen", fmt::format("{} and {} overlap; name each port once", Text::print(v.listen[k]),
                                     Text::print(v.listen[i])));
}

} // namespace tern
