// The options of a port that are its own: of a node, which has one, and of a program that has several and lets each value
// name its port. Their names and helps are the same.
#pragma once

#include "runtime/settings/schema.hpp"

namespace tern::detail {

// `P` has a member for each.
template <class P>
void declare_own_options(settings::Schema& s, P& p) {
  s.add("ip", p.ip, "our addresses with their network's length: 10.0.0.2/24 (repeat for more)");
  s.add("gateway", p.gateway, "the router for everything that is not on our own networks; one a family");
  using Route = typename decltype(p.routes)::value_type;
  s.list<Route>("route", p.routes, "a network with a router of its own: 10.8.0.0/16,via=10.0.0.254",
                [](settings::Schema& item, Route& r) {
                  item.add("to", r.to, "the network");
                  item.add("via", r.via, "its router, on a network of ours");
                });
  s.add("vlan", p.vlan, "VLAN of every frame (802.1Q)");
  s.add("service_vlan", p.service_vlan, "VLAN outside of that one (802.1ad), so that frames carry two tags");
  s.add("mac", p.mac, "our MAC address (default: the port's own)");
}

} // namespace tern::detail
