// What the forwarders of a worker ask of policy: whether a connection or UDP flow may go where it
// is to go. Combined here are the rules in force (egress_rules.h), the addresses that names with
// rules have led to (learned_addresses.h) and what holds while no policy is known yet.
//
//   EgressPass pass;
//   gate.Begin(pass, dialled, Protocol::kTcp, now);
//   if (!gate.Allows(pass, endpoint, Protocol::kTcp)) gate.OnDenied(...);  // for each endpoint
//   else gate.OnTaken(...);                                                // the one taken
//   gate.End(pass, now);                                                   // when it is over
//
// Rules by address judge where it goes in the end: the endpoint of a Service, or the dialled
// address of what is passed through. Rules by name judge the dialled address and port, whatever
// they belong to; then all of a Service's endpoints are allowed. The address that a name led to
// stays known as long as the pass is held, also where nothing isolates the pod yet: who is under
// way by a name when it is isolated may go on.
//
// A Service whose endpoints are not known cannot be judged by address: its own says nothing of
// where kube-proxy would carry it, but for the family. Only what allows all that there is of it
// lets it go there, or a name. So it is with an address of the Services' ranges that is no known
// Service's: not all are exported to the pod, and before there is a directory none is known.
//
// Many names may lead to one address. With check_server_name the name that the client greets the
// server with is judged too, where a rule by name alone lets it go there: a rule has to have that
// name with the dialled port, or it is a short form, completed by an end of the pod's search list,
// of a name that led to the address. server_name.cc.
//
// One per worker, on its thread; no lock, and no allocation but for a denial that is logged.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "directory/model.h"
#include "directory/port_endpoints.h"
#include "policy/egress_rules.h"
#include "proxy/policy/denials.h"
#include "proxy/policy/greeting.h"
#include "proxy/policy/learned_addresses.h"
#include "proxy/policy/on_no_policy.h"

namespace portolan::proxy {

// What a connection or flow keeps of how it was judged.
struct EgressPass {
  // A rule by name, enforced or in audit, has the dialled address and port.
  enum class Named : uint8_t { kNo, kEnforced, kAudit };
  Named named = Named::kNo;
  bool audited = false;  // counted as one that policies in audit would deny
  // By the forwarder: it is passed through to a Service whose endpoints, or which itself, are not
  // known.
  bool unheld = false;
  LearnedAddresses::Admission admission = 0;
};

class EgressGate {
 public:
  static constexpr size_t kMostAudited = 64;

  struct Options {
    OnNoPolicy on_no_policy = OnNoPolicy::kOpen;
    // Always allowed, beside loopback, also while no policy is known.
    std::vector<IpAddress> own = {};
    // What lies in these is a Service's address, also of one that is not known here.
    std::vector<Cidr> service_ranges = {};
    bool check_server_name = false;
  };

  // All of them outlive it. `denials` has the same rules as the gate.
  EgressGate(Options options, LearnedAddresses& learned, Denials& denials);

  // Null: no policy is known yet, as at first. Who is under way is to be judged anew then.
  void SetRules(std::shared_ptr<const EgressRules> rules);
  // The pod's search list. What is no name is left out.
  void SetSearch(const std::vector<std::string>& search);

  // Whether what is dialled there, and is no Service's that is known, is yet a Service's.
  bool IsOfServices(const IpAddress& ip) const {
    return std::any_of(options_.service_ranges.begin(), options_.service_ranges.end(),
                       [&](const Cidr& range) { return range.Contains(ip); });
  }

  // Before it is judged; again where the rules changed, and what an earlier one holds is held until
  // the new one is found. Times are monotonic.
  void Begin(EgressPass& pass, const SocketAddress& dialled, Protocol protocol, absl::Duration now);
  void End(EgressPass& pass, absl::Duration now) {
    if (pass.admission != 0) learned_.Release(pass.admission, now);
    pass.admission = 0;
  }

  // REQUIRES: Begin, with the rules that are in force.
  bool Allows(const EgressPass& pass, const SocketAddress& to, Protocol protocol) const {
    return !judges_ || pass.named == EgressPass::Named::kEnforced ||
           JudgeAddress(pass, to, protocol);
  }

  // For what is told of it.
  struct Attempt {
    Denied what = Denied::kConnection;
    const SocketAddress& client;
    const SocketAddress& dialled;
    const SocketAddress* endpoint = nullptr;  // of a Service: the one taken, or one that is denied
    const ObjectName* service = nullptr;      // null, or without a namespace: none that is known
    const Greeting* greeting = nullptr;       // of kServerName
    // Of OnTaken: all that could be taken in place of `endpoint`, and itself.
    std::span<const PortEndpoint> among = {};
  };
  void OnDenied(const EgressPass& pass, const Attempt& attempt, absl::Duration now);
  // It goes there, be it that policies in audit would have denied it, and what it could have gone
  // to instead, of which kMostAudited from the one taken on are looked at: counted once for each
  // pass.
  void OnTaken(EgressPass& pass, const Attempt& attempt, absl::Duration now) {
    if (audits_ && pass.named == EgressPass::Named::kNo && !pass.audited) {
      CountIfAudited(pass, attempt, now);
    }
  }

  // Whether the client's greeting is to be given to JudgeGreeting.
  bool ChecksGreeting(const EgressPass& pass, const SocketAddress& to) const {
    return options_.check_server_name && HasNameAlone(pass, to);
  }
  // By the rules of now; counted and logged. False: the connection is to end.
  // REQUIRES: `attempt` has a greeting that is not kUnfinished.
  bool JudgeGreeting(const EgressPass& pass, const Attempt& attempt, absl::Duration now);
  // The connection ended before it was known.
  void OnNoGreeting() { Count(ServerName::kEnded); }

  // The families portolan_policy_no_state_total and portolan_policy_server_name_total. Any thread.
  void Collect(MetricFamilies& families) const;

 private:
  // What became of greetings.
  enum class ServerName : uint8_t {
    kAllowed,
    kDenied,
    kAudited,
    kNone,
    kUnknown,
    kEnded,
    kMalformed,
    kOversized,
    kSlow
  };
  static constexpr size_t kServerNames = 9;

  void FindName(EgressPass& pass, const SocketAddress& dialled, Protocol protocol,
                absl::Duration now);
  bool JudgeAddress(const EgressPass& pass, const SocketAddress& to, Protocol protocol) const;
  // REQUIRES: rules.
  EgressRules::Verdict VerdictOf(const EgressPass& pass, const SocketAddress& to,
                                 Protocol protocol) const {
    return pass.unheld ? rules_->JudgeUnknown(to.ip.family(), protocol)
                       : rules_->Judge(to, protocol);
  }
  bool IsOwn(const IpAddress& ip) const;
  void CountIfAudited(EgressPass& pass, const Attempt& attempt, absl::Duration now);
  void Note(const EgressPass& pass, const Attempt& attempt, PolicyMode mode, absl::Duration now);
  // Nothing but a rule by name, enforced or in audit, lets it go there.
  bool HasNameAlone(const EgressPass& pass, const SocketAddress& to) const;
  ServerName Judge(const Greeting& greeting, const SocketAddress& dialled, absl::Duration now);
  bool HasRule(const Greeting& greeting, const SocketAddress& dialled, absl::Duration now);
  bool IsShortName(std::span<const uint8_t> greeted, const SocketAddress& dialled,
                   absl::Duration now);
  bool RuleHas(std::span<const uint8_t> wire_name, uint16_t port) const;
  void Count(ServerName outcome) { server_names_[static_cast<size_t>(outcome)].Add(); }

  const Options options_;
  LearnedAddresses& learned_;
  Denials& denials_;
  std::shared_ptr<const EgressRules> rules_;  // null: no policy is known
  // That anything may be denied; that policies in audit isolate; that any policy has names, be it
  // that none isolates yet.
  bool judges_;
  bool audits_ = false;
  bool names_ = false;
  std::vector<std::string> search_;  // in wire form and lower case
  NoPolicyCounters no_policy_;
  std::array<Counter, kServerNames> server_names_;
};

}  // namespace portolan::proxy
