// What becomes of a name that the application looks up, found out by looking it up: the sidecar's
// own DNS listener is asked as the application's resolver would ask it (resolv.conf(5): search list
// and ndots), so that what is shown is what the pod gets, plugins, cache and upstreams included.
// The questions are counted and logged as all others.
//
// Beside each name of a Service stands the Service as the sidecar has it. The main loop's thread;
// nothing blocks.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/ip.h"
#include "common/resolv_conf.h"
#include "proxy/admin/admin.h"

namespace portolan::proxy {

// The names that a resolver asks for in turn, with a final dot, until one has an answer.
std::vector<std::string> NamesAskedFor(std::string_view name, const ResolvConf& resolv_conf);

class Explainer {
 public:
  // For all lookups of a name: below the two seconds that a control plane waits.
  static constexpr absl::Duration kPatience = absl::Milliseconds(1500);
  static constexpr size_t kMostAtOnce = 8;
  using Done = std::function<void(absl::StatusOr<nlohmann::json>)>;

  // `dns` is where the sidecar listens; a wildcard address stands for loopback.
  Explainer(EventLoop& loop, const SocketAddress& dns, absl::Duration patience = kPatience);
  ~Explainer();
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  // {"name", "type", "search", "ndots", "lookups": [{"name", "rcode", "answers"}]}. A lookup that
  // had no answer has "error" instead of "rcode" and is the last. `done` is called once, on the
  // loop, unless this is destroyed before: kInvalidArgument for what is no name or no type,
  // kResourceExhausted where kMostAtOnce are under way. An empty type is A.
  void LookUp(const std::string& name, const std::string& type, const ResolvConf& resolv_conf,
              Done done);

 private:
  class Running;

  EventLoop& loop_;
  SocketAddress dns_;
  const absl::Duration patience_;
  std::vector<std::unique_ptr<Running>> running_;
};

// Adds "service" to the lookups of names below `cluster_domain` that are a Service's.
void AddServices(AdminSource& source, std::string_view cluster_domain, nlohmann::json& explained);

}  // namespace portolan::proxy
