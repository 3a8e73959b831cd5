// The same lookups, asked of the servers that the pod would ask without a sidecar: the nameservers
// of its resolv.conf, dialled as the sidecar dials them (proxy/own_dialling.h).
//
// All names are asked at once over UDP, the first server first; what is not answered after
// kNextServerAfter is asked of the next one as well. A reply that was cut short is shown as such.
// The main loop's thread; nothing blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/fd.h"
#include "common/ip.h"

namespace portolan::proxy {

// A destroyed one calls nobody.
class ClusterDnsLookups {
 public:
  static constexpr absl::Duration kNextServerAfter = absl::Milliseconds(500);
  static constexpr size_t kMostServers = 3;  // as glibc's MAXNS

  // {"servers": ["10.43.0.10:53"], "lookups": [{"name", "rcode", "answers", "truncated"?,
  // "extendedErrors"?, "asked", "tookMs"}]}, the lookups up to the first with an answer; "error" as
  // in OwnLookups. Called on the loop, not before the constructor returned.
  using Done = std::function<void(nlohmann::json cluster_dns)>;

  ClusterDnsLookups(EventLoop& loop, std::vector<SocketAddress> servers,
                    std::vector<std::string> names, uint16_t type, absl::Duration patience,
                    Done done);
  ~ClusterDnsLookups();

 private:
  struct Server;
  struct Lookup;

  void AskNextServer();
  void OnReadable(Server& server);
  void OnReply(const Server& server, std::span<const uint8_t> message);
  void OnServerFault(Server& server, int error);
  bool Decided() const;
  void Finish();

  EventLoop& loop_;
  const std::vector<SocketAddress> addresses_;
  const Done done_;
  std::vector<std::unique_ptr<Server>> servers_;  // those that were asked
  std::vector<Lookup> lookups_;
  std::string fault_;
  EventLoop::Timer next_server_;
  EventLoop::Timer patience_;
};

}  // namespace portolan::proxy
