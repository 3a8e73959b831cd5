#include "proxy/explain/policy_tester.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/monotonic.h"
#include "common/status.h"
#include "common/text.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"
#include "policy/connection_verdict.h"
#include "proxy/explain/connections.h"
#include "proxy/explain/own_lookups.h"
#include "proxy/explain/question.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using Match = RouteTable::Match;

// How often it is seen whether the endpoints of a Service have come.
constexpr absl::Duration kLookAgainAfter = absl::Milliseconds(20);

// In lower case, as names were learned. Empty: it is none.
std::string WireOf(std::string_view name) {
  const auto wire = dns::wire::NameToWire(Lower(name));
  return wire.ok() ? *wire : std::string();
}

std::optional<Protocol> ParseProtocol(std::string_view word) {
  if (word.empty() || Lower(word) == "tcp") return Protocol::kTcp;
  if (Lower(word) == "udp") return Protocol::kUdp;
  return std::nullopt;
}

// Where no rules are known, or they do not let the pod ask for a name at all.
std::optional<ConnectionVerdict> BeforeRules(const ExplainedPolicy& policy, bool has_name,
                                             const std::vector<IpAddress>& dialled) {
  if (policy.rules == nullptr) {
    const bool own = std::any_of(dialled.begin(), dialled.end(), [&](const IpAddress& ip) {
      return ip.is_loopback() ||
             std::find(policy.own.begin(), policy.own.end(), ip) != policy.own.end();
    });
    return ConnectionVerdict{
        .allowed = policy.open_while_unknown || own,
        .says = policy.open_while_unknown ? "no policy is known yet, and --on-no-policy is open"
                : own                     ? "what is its own or its node's is always allowed"
                                          : "no policy is known yet, and --on-no-policy is closed"};
  }
  const std::string_view why = WhyNoDns(policy);
  if (!has_name || why.empty()) return std::nullopt;
  return ConnectionVerdict{.allowed = false,
                           .says = fmt::format("no name is resolved: {}", why),
                           .isolated_by = policy.rules->isolating()};
}

}  // namespace

class PolicyTester::Running {
 public:
  Running(PolicyTester& tester, const PolicyTestRequest& request, Protocol protocol, Done done)
      : tester_(tester),
        done_(std::move(done)),
        connection_{.port = request.port, .protocol = protocol},
        deadline_(Monotonic() + tester.patience_),
        look_again_(tester.loop_.AddTimer([this] { Route(); })) {
    if (const auto ip = IpAddress::Parse(request.to); ip.ok()) {
      dialled_ = {*ip};
      look_again_.Start(absl::ZeroDuration());
      return;
    }
    name_ = request.to;
    ExplainedSidecar& sidecar = tester_.sidecar_;
    const std::vector<std::string> names = NamesAskedFor(request.to, sidecar.resolv_conf());
    missing_ = 2;
    for (std::optional<OwnLookups>* lookups : {&v4_, &v6_}) {
      lookups->emplace(
          tester_.loop_,
          [&sidecar](std::vector<uint8_t> query, std::function<void(OwnAnswer)> answered) {
            sidecar.Ask(std::move(query), std::move(answered));
          },
          names, lookups == &v4_ ? dns::wire::type::kA : dns::wire::type::kAaaa, tester_.patience_,
          [this](const json& made) { OnLookups(made); });
    }
  }

 private:
  void OnLookups(const json& lookups) {
    const json& last = lookups.back();
    const bool has_answer = HasAnswer(last);
    if (has_answer || answer_.is_null()) answer_ = last;
    if (has_answer) {
      for (const IpAddress& ip : AddressesIn(last["answers"])) {
        const bool known = std::find(dialled_.begin(), dialled_.end(), ip) != dialled_.end();
        if (!known) dialled_.push_back(ip);
      }
      name_ = last["name"];
      learned_as_ = NameLearned(last);
    }
    if (--missing_ == 0) Route();
  }

  // Where the forwarder would lead what is dialled.
  void Route() {
    ExplainedSidecar& sidecar = tester_.sidecar_;
    const auto routes = sidecar.routes();
    const ExplainedPolicy policy = sidecar.policy();
    connection_.at.clear();
    connection_.unheld.clear();
    besides_.clear();
    bool wait = false;
    for (const IpAddress& ip : dialled_) {
      const SocketAddress to{ip, connection_.port};
      const RouteTable::Lookup found = routes->Find(to, connection_.protocol);
      if (found.match == Match::kEndpoints) {
        for (const RouteEndpoint& one : (*found.route)->endpoints) {
          connection_.at.push_back(one.address);
        }
        continue;
      }
      if (found.match == Match::kEndpointsUnknown) {
        wait = true;
        sidecar.WantEndpoints(found.service->ToString());
      }
      const bool is_known = found.match != Match::kNotAService;
      const bool is_unknown_service = !is_known && IsOfServices(policy, ip);
      if (is_known) besides_ = SaysOf(found.match);
      if (is_unknown_service)
        besides_ = "an address of the Services' ranges, and no known Service's";
      if (is_unknown_service || found.match == Match::kEndpointsUnknown) {
        PassThroughUnheld(policy, to);
      } else if (!is_known) {
        connection_.at.push_back(to);
      }
    }
    if (wait && Monotonic() + kLookAgainAfter < deadline_) {
      look_again_.Start(kLookAgainAfter);
      return;
    }
    if (connection_.protocol == Protocol::kUdp && !sidecar.forwards_udp()) {
      besides_ = "UDP does not come to the sidecar: nothing is enforced for it";
    }
    Judge();
  }

  // Where endpoints are not known the Service's own address says nothing of them.
  void PassThroughUnheld(const ExplainedPolicy& policy, const SocketAddress& to) {
    if (JudgeUnheld(policy, to.ip.family(), connection_.protocol).denied()) return;
    connection_.at.push_back(to);
    connection_.unheld.push_back(to);
  }

  void Judge() {
    const ExplainedPolicy policy = tester_.sidecar_.policy();
    if (!name_.empty()) {
      // What autopath completes no policy isolates: whether it is resolved is the same for both.
      connection_.name = WireOf(learned_as_.empty() ? name_ : learned_as_);
      connection_.in_cluster = IsOfCluster(policy, name_);
    }
    for (const LearnedAddresses::Entry& entry : policy.learned) {
      const bool leads = std::find(dialled_.begin(), dialled_.end(), entry.ip) != dialled_.end();
      if (leads) connection_.learned.push_back(WireOf(entry.name));
    }
    const auto before = BeforeRules(policy, !name_.empty(), dialled_);
    json answer =
        ToJson(before.has_value() ? *before : JudgeConnection(*policy.rules, connection_));
    answer["ways"] = before.has_value() ? WaysJson(*before, connection_.at)
                                        : WaysJson(*policy.rules, connection_);
    answer["at"] = json::array();
    for (const SocketAddress& at : connection_.at) answer["at"].push_back(at.ToString());
    answer["policy"] = ToJson(policy);
    answer["onNoPolicy"] = policy.open_while_unknown ? "open" : "closed";
    if (answer_.is_object()) {
      answer["name"] = answer_["name"];
      for (const char* key : {"rcode", "error"}) {
        if (answer_.contains(key)) answer[key] = answer_[key];
      }
    }
    if (policy.rules != nullptr && IsAllowedByName(*policy.rules)) {
      const auto& learned = connection_.learned;
      answer["learned"] =
          std::find(learned.begin(), learned.end(), connection_.name) != learned.end();
    }
    if (!besides_.empty()) answer["besides"] = besides_;
    Finish(std::move(answer));
  }

  // The name's rule has the port: it may be reached once it was looked up.
  bool IsAllowedByName(const EgressRules& rules) const {
    const std::string& name = connection_.name;
    return !name.empty() &&
           rules
               .JudgeLearned({reinterpret_cast<const uint8_t*>(name.data()), name.size()},
                             connection_.port, connection_.protocol)
               .allowed;
  }

  void Finish(json answer) {
    // After this event, which is one of its own.
    tester_.loop_.Post([tester = &tester_, this, answer = std::move(answer),
                        alive = std::weak_ptr<bool>(alive_)]() mutable {
      if (alive.expired()) return;
      const Done done = std::move(done_);
      tester->Remove(this);
      done(std::move(answer));
    });
  }

  PolicyTester& tester_;
  Done done_;
  TestedConnection connection_;
  const absl::Duration deadline_;
  EventLoop::Timer look_again_;
  std::string name_;        // empty: an address was given
  std::string learned_as_;  // empty: nothing was found
  std::vector<IpAddress> dialled_;
  std::string besides_;
  int missing_ = 0;
  json answer_;  // a lookup that found it, else the last of a walk
  std::optional<OwnLookups> v4_;
  std::optional<OwnLookups> v6_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>();
};

PolicyTester::PolicyTester(EventLoop& loop, ExplainedSidecar& sidecar, absl::Duration patience)
    : loop_(loop), sidecar_(sidecar), patience_(patience) {}

PolicyTester::~PolicyTester() = default;

void PolicyTester::Test(const PolicyTestRequest& request, Done done) {
  if (request.to.empty()) return done(InvalidArgument("to: a name or an address is needed"));
  if (!IpAddress::Parse(request.to).ok()) {
    const auto wire = dns::wire::NameToWire(request.to);
    if (!wire.ok()) return done(InvalidArgument("to: {}", Message(wire.status())));
  }
  if (request.port == 0) return done(InvalidArgument("port: a number from 1 to 65535 is needed"));
  const auto protocol = ParseProtocol(request.protocol);
  if (!protocol.has_value()) return done(InvalidArgument("protocol: TCP or UDP is needed"));
  if (running_.size() >= kMostAtOnce) {
    return done(absl::ResourceExhaustedError("too many connections are being tested"));
  }
  running_.push_back(std::make_unique<Running>(*this, request, *protocol, std::move(done)));
}

void PolicyTester::Remove(const Running* running) {
  std::erase_if(running_, [&](const auto& one) { return one.get() == running; });
}

}  // namespace portolan::proxy
