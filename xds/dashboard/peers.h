// The other replicas, found by the name of a headless Service and asked over HTTPS.
//
// The name is looked up every 10 s, sooner where one does not answer, on a thread of its own. An
// address says itself, once, which replica it is (/api/v1/status), so that our own is left out. A
// question that one cannot be asked, or that it does not answer in time, is an error in its
// ReplicaAnswer; that the name leads nowhere is one as well. The loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/guarded.h"
#include "common/host_and_port.h"
#include "common/ip.h"
#include "common/kubernetes/api_client.h"
#include "common/metrics.h"
#include "xds/dashboard/replicas.h"

namespace portolan::xds {

class Peers : public Replicas {
 public:
  static constexpr size_t kMaxPeers = 64;
  // That are under way; beyond it there is no answer but an error.
  static constexpr size_t kMostQuestions = 64;
  static constexpr size_t kMaxAnswerBytes = 8u << 20;
  static constexpr absl::Duration kLookUpEvery = absl::Seconds(10);

  using Addresses = absl::StatusOr<std::vector<SocketAddress>>;
  struct Options {
    std::string self;
    HostAndPort where;
    // Called on a thread of its own; may block.
    std::function<Addresses(const HostAndPort&)> look_up;
    // Who asks at that address. On the loop.
    std::function<std::unique_ptr<ApiClient>(const SocketAddress&)> connect;
  };

  // Looks the name up at once. `loop` outlives it.
  Peers(EventLoop& loop, Options options);
  ~Peers() override;
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  const std::string& self() const override { return options_.self; }
  void Ask(std::string target, absl::Duration patience, Done done) override;
  void Post(std::string target, absl::Duration patience, Done done) override;

  void AddMetrics(MetricFamilies& families) const;

 private:
  class Question;
  class Call;
  struct Peer {
    SocketAddress address;
    std::unique_ptr<ApiClient> client;
    std::string name;  // empty: it has not said
    bool failed_last;  // the last question
  };
  using PeerPtr = std::shared_ptr<Peer>;
  using Loop = Guarded<EventLoop*>;

  struct What {
    std::string method;
    std::string target;
    absl::Duration patience;
  };
  void AskAll(What what, Done done);
  void LookUp();
  void OnLookedUp(const Addresses& found);
  void OnAnswered(uint64_t question);
  void LookUpSoon();

  EventLoop& loop_;
  const Options options_;
  std::vector<PeerPtr> peers_;
  absl::Status looked_up_;
  bool looking_up_ = false;
  EventLoop::Timer look_up_;
  absl::Duration last_look_up_;  // as Monotonic() has it
  uint64_t last_question_ = 0;
  std::map<uint64_t, std::unique_ptr<Question>> questions_;
  std::vector<std::unique_ptr<Question>> answered_;  // perhaps still on the stack
  EventLoop::Timer bury_;
  Counter answers_;
  Counter failures_;
  Counter look_ups_failed_;
  // Null once there is nobody to be told.
  const std::shared_ptr<Loop> told_on_;
};

// How a peer is reached: verified by a CA and a name, and shown a token. The files are read each
// time, for both are replaced while they are good.
struct PeerTls {
  std::string ca_file;
  std::string server_name;
  std::string token_file;
};
std::unique_ptr<ApiClient> ConnectToPeer(EventLoop& loop, const PeerTls& tls,
                                         const SocketAddress& address);

}  // namespace portolan::xds
