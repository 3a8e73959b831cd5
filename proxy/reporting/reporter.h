// The sidecar's side of portolan.v1.Sidecars: tells the control plane how it is doing, and answers
// what is asked through it with what the admin interface (proxy/admin/admin.h) shows.
//
// One stream for each connection of the feed, on that connection. A stream that ends alone, as with
// a control plane that does not have the service, is not opened again before the next connection:
// the sidecar needs it for nothing. The main loop's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "portolan/v1/sidecars.pb.h"
#include "proxy/admin/admin.h"
#include "proxy/feed/control_stream.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {

class Reporter : private SidecarsStream::Listener {
 public:
  struct Options {
    std::string node;     // NAMESPACE/POD
    std::string version;  // of this program
    absl::Time started;
    // A report is made so often, and what of it is other than in the last is sent.
    absl::Duration interval = api::kReportEvery;
  };

  // Makes a report and calls `done` with it once, before it returns or later on the loop.
  using MakeReport = std::function<void(std::function<void(v1::SidecarReport)> done)>;

  // All outlive it.
  Reporter(EventLoop& loop, Options options, AdminSource& admin, MakeReport make_report);
  ~Reporter() override;
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  // The feed has a connection.
  void Connect(const ControlConnection& connection);
  // It is given up.
  void Disconnect();
  bool has_stream() const { return stream_ != nullptr; }

  // Any thread, while it lives.
  void AddMetrics(MetricFamilies& families) const;

 private:
  void OnStreamOpen() override;
  void OnResponse(const v1::ControlMessage& message) override;
  void OnStreamClosed(grpc::StatusCode code, const std::string& reason) override;

  void BeginReport();
  void SendReport(v1::SidecarReport report);
  void TakeQuestion(const v1::Question& question);
  void Ask(const v1::Question& question, std::function<void(absl::StatusOr<std::string>)> done);
  absl::StatusOr<std::string> Dump(const v1::ConfigDump& asked);
  void Send(uint64_t id, absl::StatusOr<std::string> json);

  EventLoop& loop_;
  const Options options_;
  AdminSource& admin_;
  const MakeReport make_report_;
  // Reports and answers that are still to come belong to a stream.
  std::shared_ptr<SidecarsStream> stream_;
  // Of the last report on the stream, with what did not change: serialized, by field number.
  std::map<int, std::string> last_parts_;
  size_t open_questions_ = 0;
  bool closing_logged_ = false;
  EventLoop::Timer report_timer_;

  Counter reports_;
  Counter reports_held_back_;
  Counter answered_;
  Counter refused_;
  Counter unknown_;
};

}  // namespace portolan::proxy
