// What meets a SYN, and what proves it, as one translation unit: see engine.cpp.
#include "tcp/cookie.cpp"
#include "tcp/listen.cpp"
#include "tcp/reply.cpp"
#include "tcp/syn_received.cpp"
