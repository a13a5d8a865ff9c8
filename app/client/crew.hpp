// The cores of `tern client`: a thread each, over one port or several.
#pragma once

#include <atomic>
#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/client/client.hpp"
#include "app/client/load_station.hpp"
#include "app/client/ports.hpp"
#include "runtime/node_port.hpp"

namespace tern::app {

class Crew {
 public:
  // Opens the ports and makes a client a core. Throws ConfigError, ArenaError. What it is given outlives it.
  Crew(const settings::Schema& schema, const ClientSettings& c, const std::vector<PortShare>& ports,
       const LoadTexts& texts);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Runs until all is done; the report is whole but for what the caller knows better.
  void run(observe::Result& result);
  // What kept every connection from being made; empty if one was.
  [[nodiscard]] const std::string& unreachable() const { return unreachable_; }
  // After run(): how many packets nobody gave back.
  [[nodiscard]] unsigned close();

 private:
  using ThePort = io::SharedPort<io::EthPort>;
  // A port, with what its cores share.
  struct Road {
    Road(const settings::Schema&, const ClientSettings&, const PortShare&, const LoadTexts&, const io::Eal*);
    const PortShare& share;
    LoadPlan whole; // as if all the load were this port's: its cores' shares are of it
    NodePort port;
    PortTable table;
    ShardSettings shard;
    std::vector<CoreHandle*> handles{};
    int link_lost = 0;
  };
  struct Member {
    Member(Road& on, io::CoreId number, LoadPlan has) : road(on), core(number), plan(std::move(has)) {}
    Road& road;
    io::CoreId core; // among those of its port
    LoadPlan plan;
    LoadStats stats;
    LoadStation station;
    CoreHandle* handle = nullptr;
    const net::NetCounters* net = nullptr;
  };

  void open_ports(const LoadTexts&);
  void take_on(unsigned cores);
  [[nodiscard]] static ShardSettings records(const settings::Schema&, const ClientSettings&, const PortShare&,
                                             const NodePort&);
  void live(Member&);
  void wait_for_link() const;
  void start_table() const;
  // What a run that goes nowhere should end for.
  [[nodiscard]] std::string fault();
  [[nodiscard]] std::string no_way(const Road&) const;
  [[nodiscard]] bool link_is_lost(Road&) const;
  [[nodiscard]] bool all_done() const;
  void join();

  const settings::Schema& schema_;
  const ClientSettings& settings_;
  const std::vector<PortShare>& shares_;
  std::unique_ptr<io::Eal> eal_; // where there are several ports
  std::vector<std::unique_ptr<Road>> roads_;
  LoadControl control_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<const LoadStation*> stations_;
  std::barrier<> turn_;
  std::mutex failure_lock_;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
  std::string unreachable_;
  std::atomic<bool> lost_{false}; // there is nothing to wait for
  std::int64_t link_asked_ns_ = 0;
};

} // namespace tern::app
