// Whether the application could open a connection now, as the policies in force have it:
// `portolanctl policy test` of a running pod.
//
// A name is looked up as the application would look it up, for addresses of both families
// (own_lookups.h: nothing is learned by it, and no denial is counted); a Service's address leads to
// its eligible endpoints; what that comes to is judged (policy/connection_verdict.h). Nothing
// is connected to. The main loop's thread; nothing blocks.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "proxy/admin/admin.h"
#include "proxy/explain/explainer.h"

namespace portolan::proxy {

class PolicyTester {
 public:
  // For lookups and for the endpoints of a Service: below the two seconds that a control plane
  // waits.
  static constexpr absl::Duration kPatience = Explainer::kPatience;
  static constexpr size_t kMostAtOnce = 8;
  using Done = std::function<void(absl::StatusOr<nlohmann::json>)>;

  // `sidecar` outlives it.
  PolicyTester(EventLoop& loop, ExplainedSidecar& sidecar, absl::Duration patience = kPatience);
  ~PolicyTester();
  PolicyTester(const PolicyTester&) = delete;
  PolicyTester& operator=(const PolicyTester&) = delete;

  // ToJson(ConnectionVerdict) and "at": [ADDRESS:PORT], where it leads; "ways": WaysJson of these;
  // "policy": ToJson(ExplainedPolicy); "onNoPolicy": "open"|"closed". Of a name "name", with which
  // it was found or else the last that was asked for, and "rcode" of that or "error". Where a rule
  // by name allows it "learned": whether an address is in the table. "besides": what else is in the
  // way, in words. `done` is called once, on the loop, unless this is destroyed before:
  // kInvalidArgument for what is no name, port or protocol, kResourceExhausted where kMostAtOnce
  // are under way.
  void Test(const PolicyTestRequest& request, Done done);

 private:
  class Running;

  void Remove(const Running* running);

  EventLoop& loop_;
  ExplainedSidecar& sidecar_;
  const absl::Duration patience_;
  std::vector<std::unique_ptr<Running>> running_;
};

}  // namespace portolan::proxy
