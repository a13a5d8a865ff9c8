#include "runtime/node.hpp"

namespace tern {

void declare_serve_options(settings::Schema& s, ServeSettings& v) {
  s.add("listen", v.listen, "ports to listen on, each a port or a range");
  s.add("duration", v.duration, "how long to serve (0s: until a signal)");
  s.add("drain", v.drain, "how long open connections may take to end once we were told to stop");
  declare_port_options(s, v.node);
  declare_tcp_options(s, v.node);
}

} // namespace tern
