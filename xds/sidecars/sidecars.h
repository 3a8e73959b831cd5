// The control plane's side of portolan.v1.Sidecars: what each connected sidecar reported last, and
// questions to them.
//
// gRPC's threads read what comes; a sidecar that breaks the rules (sidecar_limits.h) is
// disconnected with a reason. Of two streams of one sidecar the newer counts, and the older is
// ended.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/guarded.h"
#include "common/metrics.h"
#include "common/string_map.h"
#include "portolan/v1/sidecars.grpc.pb.h"
#include "xds/authentication/token_gate.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

class SidecarStream;

class Sidecars : public AskedSidecars,
                 public v1::Sidecars::WithRawCallbackMethod_Connect<v1::Sidecars::Service> {
 public:
  struct Options {
    absl::Duration patience = absl::Seconds(2);
  };

  // `loop` is where questions are asked and answered.
  Sidecars(EventLoop& loop, Options options);
  explicit Sidecars(EventLoop& loop) : Sidecars(loop, Options()) {}
  // REQUIRES: the server that it is a service of is gone.
  ~Sidecars() override;
  Sidecars(const Sidecars&) = delete;
  Sidecars& operator=(const Sidecars&) = delete;

  // Lets in those alone that the gate knows, each as the pod that its token names. Null: all, as
  // whom they say they are. REQUIRES: it is not served yet. The gate outlives it.
  void SetGate(TokenGate* gate) { gate_ = gate; }

  // Called on the loop with the node of each that reported. REQUIRES: it is not served yet.
  void SetOnReport(std::function<void(const std::string& node_id)> on_report) {
    on_report_ = std::move(on_report);
  }

  void Ask(std::string_view node_id, v1::Question question, Done done) override;
  std::optional<ReportedSidecar> Find(std::string_view node_id) const override;
  std::vector<ReportedSidecar> All() const override;
  AskedBy AskedFor(std::string_view service_key, size_t most_pods) const override;

  // Any thread.
  void EndAll(const grpc::Status& status);
  void AddMetrics(MetricFamilies& families) const;

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Connect(
      grpc::CallbackServerContext* context) override;

 private:
  friend class SidecarStream;

  enum Outcome { kAnswered, kRefused, kTimedOut, kBusy, kNotConnected, kLost, kOutcomes };
  struct Streams {
    // Each lives until gRPC is done with it.
    absl::flat_hash_map<SidecarStream*, std::shared_ptr<SidecarStream>> all;
    StringMap<std::shared_ptr<SidecarStream>> newest;  // by node
  };
  struct Deadline {
    uint64_t id;
    absl::Duration at;  // as Monotonic() has it
  };

  // Of streams; any thread.
  void OnHello(SidecarStream& stream, const std::string& node_id);
  void OnReport(const ReportedSidecar& sidecar);
  void OnAnswer(const v1::Answer& answer);
  void OnDone(SidecarStream& stream, const std::vector<uint64_t>& unanswered);

  // On the loop.
  void Finish(uint64_t id, Outcome outcome, const absl::StatusOr<std::string>& answer);
  void LosePatience();
  std::shared_ptr<SidecarStream> NewestOf(std::string_view node_id) const;
  void Count(Outcome outcome) { ++outcomes_[outcome]; }

  EventLoop& loop_;
  const Options options_;
  TokenGate* gate_ = nullptr;
  std::function<void(const std::string&)> on_report_;
  Guarded<Streams> streams_;
  AskedNames asked_names_;
  std::array<std::atomic<uint64_t>, kOutcomes> outcomes_{};
  std::atomic<uint64_t> reports_{0};
  std::atomic<uint64_t> broken_rules_{0};

  // The loop's.
  uint64_t last_id_ = 0;
  absl::flat_hash_map<uint64_t, Done> pending_;
  std::deque<Deadline> deadlines_;  // of those and of some that are answered
  EventLoop::Timer patience_;
  // Tasks that were posted hold a weak reference.
  const std::shared_ptr<Sidecars*> self_ = std::make_shared<Sidecars*>(this);
};

}  // namespace portolan::xds
