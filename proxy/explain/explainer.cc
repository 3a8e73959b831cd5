#include "proxy/explain/explainer.h"

#include <optional>
#include <utility>

#include "common/status.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"
#include "proxy/explain/cluster_dns.h"
#include "proxy/explain/objects.h"
#include "proxy/explain/question.h"

namespace portolan::proxy {

using nlohmann::json;

// One explanation: the lookups of both, then what the directory and the forwarder make of them.
class Explainer::Running {
 public:
  Running(Explainer& explainer, const ExplainRequest& request, uint16_t type, Done done)
      : explainer_(explainer), done_(std::move(done)) {
    ExplainedSidecar& sidecar = explainer_.sidecar_;
    const ResolvConf& conf = sidecar.resolv_conf();
    const std::vector<std::string> names = NamesAskedFor(request.name, conf);
    port_ = request.port;
    explained_ = {{"name", request.name},
                  {"type", dns::wire::TypeWord(type)},
                  {"search", conf.search},
                  {"ndots", conf.ndots}};
    missing_ = request.with_cluster_dns ? 2 : 1;
    own_.emplace(
        explainer_.loop_,
        [&sidecar](std::vector<uint8_t> query, std::function<void(OwnAnswer)> answered) {
          sidecar.Ask(std::move(query), std::move(answered));
        },
        names, type, explainer_.patience_,
        [this](json lookups) {
          explained_["lookups"] = std::move(lookups);
          OnOneDone();
        });
    if (!request.with_cluster_dns) return;
    cluster_dns_.emplace(explainer_.loop_, sidecar.nameservers(), names, type, explainer_.patience_,
                         [this](json cluster_dns) {
                           explained_["clusterDns"] = std::move(cluster_dns);
                           OnOneDone();
                         });
  }

 private:
  void OnOneDone() {
    if (--missing_ > 0) return;
    ExplainedSidecar& sidecar = explainer_.sidecar_;
    const auto snapshot = sidecar.snapshot();
    explained_["feed"] = sidecar.Feed();
    const std::string own_namespace = sidecar.own_namespace();
    const NameSurroundings around{explainer_.cluster_domain_, own_namespace,
                                  explained_["feed"].value("inSync", false)};
    const std::string type = explained_["type"];
    policy_ = sidecar.policy();
    explained_["policy"] = ToJson(policy_);
    for (json& lookup : explained_["lookups"]) {
      lookup["policy"] = ToJson(JudgeName(policy_, lookup["name"].get_ref<const std::string&>(),
                                          sidecar.resolv_conf().search));
      AddObjects(*snapshot, explainer_.cluster_domain_, lookup);
      AddWhy(*snapshot, around, type, lookup);
      if (!lookup.contains("service")) continue;
      const json& service = lookup["service"];
      lookup["service"]["endpointsState"] = sidecar.EndpointsStateOf(
          service["namespace"].get<std::string>() + "/" + service["name"].get<std::string>());
    }
    DescribeConnections();
  }

  void DescribeConnections() {
    explained_["connections"] = json::array();
    const json& last = explained_["lookups"].back();
    if (!last.contains("answers")) return Finish();
    ExplainedSidecar& sidecar = explainer_.sidecar_;
    connections_ = ConnectionsTo(AddressesIn(last["answers"]), *sidecar.routes());
    std::vector<std::shared_ptr<const Route>> routes;
    for (const ExplainedConnection& one : connections_) {
      if (one.route != nullptr) routes.push_back(one.route);
    }
    if (routes.empty()) return OnDescribed({});
    sidecar.Describe(std::move(routes), [this, alive = std::weak_ptr<bool>(alive_)](
                                            const ExplainedSidecar::States& states) {
      if (!alive.expired()) OnDescribed(states);
    });
  }

  void OnDescribed(const ExplainedSidecar::States& states) {
    ExplainedSidecar& sidecar = explainer_.sidecar_;
    const auto snapshot = sidecar.snapshot();
    const ConnectionSurroundings around{.snapshot = *snapshot,
                                        .here = sidecar.place(),
                                        .udp = sidecar.forwards_udp(),
                                        .policy = std::move(policy_),
                                        .learned_as = NameLearned(explained_["lookups"].back()),
                                        .port = port_};
    size_t route = 0;
    for (const ExplainedConnection& one : connections_) {
      const bool described = one.route != nullptr && route < states.size();
      explained_["connections"].push_back(ConnectionJson(
          one, described ? states[route++] : ExplainedSidecar::States::value_type(), around));
    }
    Finish();
  }

  void Finish() {
    // After this event, which is one of its own.
    explainer_.loop_.Post([explainer = &explainer_, this, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      const Done done = std::move(done_);
      const json explained = std::move(explained_);
      explainer->Remove(this);
      done(explained);
    });
  }

  Explainer& explainer_;
  Done done_;
  json explained_;
  int missing_ = 0;
  ExplainedPolicy policy_;
  uint16_t port_ = 0;
  std::vector<ExplainedConnection> connections_;
  std::optional<OwnLookups> own_;
  std::optional<ClusterDnsLookups> cluster_dns_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();
};

Explainer::Explainer(EventLoop& loop, ExplainedSidecar& sidecar, std::string cluster_domain,
                     absl::Duration patience)
    : loop_(loop),
      sidecar_(sidecar),
      cluster_domain_(std::move(cluster_domain)),
      patience_(patience) {}

Explainer::~Explainer() = default;

void Explainer::Explain(const ExplainRequest& request, Done done) {
  if (request.name.empty()) return done(InvalidArgument("name: what is to be looked up?"));
  const auto wire = dns::wire::NameToWire(request.name);
  if (!wire.ok()) return done(InvalidArgument("name: {}", Message(wire.status())));
  const auto type = ParseRecordType(request.type);
  if (!type.ok()) return done(type.status());
  if (running_.size() >= kMostAtOnce) {
    return done(absl::ResourceExhaustedError("too many names are being explained"));
  }
  running_.push_back(std::make_unique<Running>(*this, request, *type, std::move(done)));
}

void Explainer::Remove(const Running* running) {
  std::erase_if(running_, [&](const auto& one) { return one.get() == running; });
}

}  // namespace portolan::proxy
