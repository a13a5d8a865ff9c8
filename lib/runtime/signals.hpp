// Signals as counts. SIGINT and SIGTERM: the first asks for an orderly end, the second for one at once.
#pragma once

namespace tern {

void catch_stop_signals();
[[nodiscard]] int stop_signals(); // how many came

// SIGHUP: read the configuration again.
void catch_reload_signal();
[[nodiscard]] int reload_signals();

} // namespace tern
