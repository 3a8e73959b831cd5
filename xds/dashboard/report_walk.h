// Goes through what all sidecars reported, some of them in each turn of the loop: 15,000 reports of
// 64 entries each are more than one turn is for.
//
// The loop's thread only.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

class ReportWalks {
 public:
  // Of one turn.
  static constexpr absl::Duration kAtOnce = absl::Milliseconds(4);
  static constexpr size_t kMostAtOnce = 8;

  // `sidecars` may be null: none reports. Both outlive it.
  ReportWalks(EventLoop& loop, AskedSidecars* sidecars) : loop_(loop), sidecars_(sidecars) {}
  ReportWalks(const ReportWalks&) = delete;
  ReportWalks& operator=(const ReportWalks&) = delete;

  // Calls `visit` for each sidecar that has reported, then `done`: before it returns where they are
  // few, else in later turns, unless this is gone by then. False, and neither is called, where
  // kMostAtOnce are under way.
  bool Start(std::function<void(const ReportedSidecar&)> visit, std::function<void()> done);

 private:
  struct Walk;
  void GoOn(const std::shared_ptr<Walk>& walk);

  EventLoop& loop_;
  AskedSidecars* const sidecars_;
  size_t under_way_ = 0;
  // Tasks that were posted hold a weak reference.
  const std::shared_ptr<ReportWalks*> self_ = std::make_shared<ReportWalks*>(this);
};

}  // namespace portolan::xds
