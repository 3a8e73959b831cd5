#include "xds/dashboard/report_walk.h"

#include <utility>
#include <vector>

#include "common/monotonic.h"

namespace portolan::xds {
namespace {

// The clock is read after as many reports.
constexpr size_t kBetweenLooks = 16;

}  // namespace

struct ReportWalks::Walk {
  std::vector<ReportedSidecar> sidecars;
  size_t at = 0;
  std::function<void(const ReportedSidecar&)> visit;
  std::function<void()> done;
};

bool ReportWalks::Start(std::function<void(const ReportedSidecar&)> visit,
                        std::function<void()> done) {
  if (under_way_ == kMostAtOnce) return false;
  ++under_way_;
  auto walk = std::make_shared<Walk>();
  if (sidecars_ != nullptr) walk->sidecars = sidecars_->All();
  walk->visit = std::move(visit);
  walk->done = std::move(done);
  GoOn(walk);
  return true;
}

void ReportWalks::GoOn(const std::shared_ptr<Walk>& walk) {
  const absl::Duration end = Monotonic() + kAtOnce;
  while (walk->at < walk->sidecars.size()) {
    const ReportedSidecar& sidecar = walk->sidecars[walk->at++];
    if (sidecar.report != nullptr) walk->visit(sidecar);
    if (walk->at % kBetweenLooks != 0 || Monotonic() < end) continue;
    loop_.Post([weak = std::weak_ptr(self_), walk] {
      if (const auto self = weak.lock()) (*self)->GoOn(walk);
    });
    return;
  }
  --under_way_;
  walk->done();
}

}  // namespace portolan::xds
