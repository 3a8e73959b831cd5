#include "dns/plugins/forward.h"

#include <algorithm>
#include <array>
#include <limits>

#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr std::string_view kPodResolvConf = "/etc/resolv.conf";

struct WithoutEffect {
  std::string_view name;
  std::string_view consequence;
};
constexpr WithoutEffect kWithoutEffect[] = {
    {"expire", "connections to upstreams are not kept"},
    {"max_idle_conns", "connections to upstreams are not kept"},
    {"max_connect_attempts", "each server is tried until the deadline of 5 s"},
    {"health_check", "servers are judged by the questions they leave unanswered"},
    {"max_fails", "servers are judged by the questions they leave unanswered"},
    {"failfast_all_unhealthy_upstreams", "servers that are down are asked all the same"},
    {"failover", "the first server's reply counts, whatever its rcode"},
    {"next", "the first reply counts, whatever its rcode"},
    {"next_on_nodata", "the first reply counts, whatever it holds"},
    {"doh_method", "DNS over HTTPS is not supported"},
    {"resolver", "TOs are addresses"},
};

constexpr std::array<std::string_view, 18> kOptions = {"except",
                                                       "policy",
                                                       "force_tcp",
                                                       "prefer_udp",
                                                       "max_concurrent",
                                                       "tls",
                                                       "tls_servername",
                                                       "expire",
                                                       "max_idle_conns",
                                                       "max_connect_attempts",
                                                       "health_check",
                                                       "max_fails",
                                                       "failfast_all_unhealthy_upstreams",
                                                       "failover",
                                                       "next",
                                                       "next_on_nodata",
                                                       "doh_method",
                                                       "resolver"};

bool AnyHolds(const std::vector<wire::Zone>& zones, const wire::Query& query) {
  return std::any_of(zones.begin(), zones.end(),
                     [&](const wire::Zone& zone) { return zone.Holds(query); });
}

absl::Status AddFile(const Token& token, ForwardConfig& config, std::vector<std::string>* notes) {
  auto conf = ReadResolvConf(token.text);
  if (!conf.ok()) return token.Error(Message(conf.status()));
  notes->insert(notes->end(), conf->skipped.begin(), conf->skipped.end());
  if (conf->nameservers.empty()) {
    return token.Error(fmt::format("{} names no server that can be used", token.text));
  }
  config.to.insert(config.to.end(), conf->nameservers.begin(), conf->nameservers.end());
  return absl::OkStatus();
}

// "10.0.0.1", "10.0.0.1:1053", "fd00::1", "[fd00::1]:1053", each also behind "dns://".
absl::StatusOr<SocketAddress> ParseServer(const Token& token) {
  std::string_view text = token.text;
  if (const size_t at = text.find("://"); at != std::string_view::npos) {
    const std::string_view scheme = text.substr(0, at);
    if (scheme != "dns") {
      return token.Error(fmt::format(
          "'{}': {}:// is not supported, and the questions must not travel in the clear instead",
          token.text, scheme));
    }
    text.remove_prefix(at + 3);
  }
  if (auto ip = IpAddress::Parse(text); ip.ok()) return SocketAddress{*ip, kDnsPort};
  auto server = SocketAddress::Parse(text);
  if (!server.ok() || server->port == 0) {
    return token.Error(fmt::format("'{}' is neither an address nor a file", token.text));
  }
  return *server;
}

absl::Status AddServer(const Token& token, ForwardConfig& config, std::vector<std::string>* notes) {
  if (token.text == kPodResolvConf) {
    if (config.pod_resolvers) return token.Error(fmt::format("{} stands twice", token.text));
    config.pod_resolvers = true;
    config.pod_resolvers_at = config.to.size();
    return absl::OkStatus();
  }
  if (token.text.starts_with('/')) return AddFile(token, config, notes);
  auto server = ParseServer(token);
  if (!server.ok()) return server.status();
  config.to.push_back(*server);
  return absl::OkStatus();
}

absl::Status ParsePolicy(const Token& token, ForwardConfig& config) {
  static constexpr std::array<std::string_view, 3> kPolicies = {"random", "round_robin",
                                                                "sequential"};
  static constexpr upstream::Policy kValues[] = {
      upstream::Policy::kRandom, upstream::Policy::kRoundRobin, upstream::Policy::kSequential};
  const auto found = std::find(kPolicies.begin(), kPolicies.end(), token.text);
  if (found == kPolicies.end()) {
    return token.Error(
        fmt::format("unknown policy '{}': random, round_robin or sequential", token.text));
  }
  config.policy = kValues[found - kPolicies.begin()];
  return absl::OkStatus();
}

absl::Status ParseMaxConcurrent(const Directive& line, ForwardConfig& config) {
  absl::Status status = CheckArguments(line, 1, 1);
  if (!status.ok()) return status;
  auto number = ParseNumber(line.arguments[0], std::numeric_limits<int32_t>::max());
  if (!number.ok()) return number.status();
  config.max_concurrent = *number;
  return absl::OkStatus();
}

absl::Status ParseExcept(const Directive& line, ForwardConfig& config) {
  if (line.arguments.empty()) return line.name.Error("except needs at least 1 argument");
  auto zones = corefile::ParseZones(line.arguments);
  if (!zones.ok()) return zones.status();
  config.except.insert(config.except.end(), zones->begin(), zones->end());
  return absl::OkStatus();
}

absl::Status ParseOption(const Directive& line, ForwardConfig& config,
                         std::vector<std::string>* notes) {
  const std::string& name = line.name.text;
  if (name == "except") return ParseExcept(line, config);
  if (name == "max_concurrent") return ParseMaxConcurrent(line, config);
  if (name == "policy") {
    absl::Status status = CheckArguments(line, 1, 1);
    return status.ok() ? ParsePolicy(line.arguments[0], config) : status;
  }
  if (name == "force_tcp" || name == "prefer_udp") {
    if (name == "force_tcp") config.transports = upstream::Transports::kTcpOnly;
    return CheckArguments(line, 0, 0);
  }
  if (name == "tls" || name == "tls_servername") {
    return line.name.Error(fmt::format("'{}': DNS over TLS is not supported", name));
  }
  for (const WithoutEffect& option : kWithoutEffect) {
    if (option.name != name) continue;
    AddNote(notes, line.name, "forward", option.consequence);
    return absl::OkStatus();
  }
  return UnknownOption(line, "forward", kOptions);
}

upstream::ServerSetConfig Servers(const ForwardConfig& config,
                                  const std::vector<SocketAddress>& pod_resolvers) {
  upstream::ServerSetConfig set{config.to, config.policy, config.transports, config.max_concurrent};
  if (config.pod_resolvers) {
    set.servers.insert(set.servers.begin() + static_cast<ptrdiff_t>(config.pod_resolvers_at),
                       pod_resolvers.begin(), pod_resolvers.end());
  }
  return set;
}

MakeLink MakeForward(ForwardConfig config) {
  return [config = std::move(config)](const PluginContext& context) {
    return std::make_unique<Forward>(config, context.pod_resolvers, context.upstream);
  };
}

// `zones`, or the block's where there are none.
absl::Status AddForwarded(const std::vector<Token>& zones, LoadContext& context) {
  auto parsed = corefile::ParseZones(zones);
  if (!parsed.ok()) return parsed.status();
  context.AddLink(ForwardToPodResolvers(parsed->empty() ? context.zones() : *std::move(parsed)));
  return absl::OkStatus();
}

}  // namespace

ForwardConfig ForwardConfig::ToPodResolvers(std::vector<wire::Zone> zones) {
  ForwardConfig config;
  config.from = std::move(zones);
  config.pod_resolvers = true;
  config.policy = upstream::Policy::kSequential;
  return config;
}

absl::StatusOr<ForwardConfig> ParseForward(const Directive& directive,
                                           std::vector<std::string>* notes) {
  if (directive.arguments.size() < 2) {
    return directive.name.Error("forward needs a zone and at least one server");
  }
  ForwardConfig config;
  auto from = corefile::ParseZones(directive.arguments[0]);
  if (!from.ok()) return from.status();
  config.from = *std::move(from);
  bool policy_given = false;
  for (size_t i = 1; i < directive.arguments.size(); ++i) {
    absl::Status status = AddServer(directive.arguments[i], config, notes);
    if (!status.ok()) return status;
  }
  if (config.to.size() > upstream::kMaxServers) {
    return directive.name.Error(fmt::format("forward has {} servers, more than {}",
                                            config.to.size(), upstream::kMaxServers));
  }
  for (const Directive& line : directive.block) {
    absl::Status status = ParseOption(line, config, notes);
    if (!status.ok()) return status;
    policy_given = policy_given || line.name.text == "policy";
  }
  // The order of a resolv.conf is the order in which the C library asks.
  if (config.pod_resolvers && config.to.empty() && !policy_given) {
    config.policy = upstream::Policy::kSequential;
  }
  return config;
}

absl::Status LoadForward(const Directive& directive, LoadContext& context) {
  auto forward = ParseForward(directive, context.notes());
  if (!forward.ok()) return forward.status();
  context.AddLink(MakeForward(*std::move(forward)));
  return absl::OkStatus();
}

absl::Status LoadForwardedZones(const Directive& directive, LoadContext& context) {
  return AddForwarded(directive.arguments, context);
}

absl::Status LoadFile(const Directive& directive, LoadContext& context) {
  const std::vector<Token>& arguments = directive.arguments;
  if (arguments.empty()) return directive.name.Error("file needs a zone file");
  return AddForwarded({arguments.begin() + 1, arguments.end()}, context);
}

absl::Status LoadView(const Directive&, LoadContext& context) {
  context.set_place(0);  // in front of all that would answer
  context.AddLink(ForwardToPodResolvers(context.zones()));
  return absl::OkStatus();
}

MakeLink ForwardToPodResolvers(std::vector<wire::Zone> zones) {
  return MakeForward(ForwardConfig::ToPodResolvers(std::move(zones)));
}

Forward::Forward(const ForwardConfig& config, const std::vector<SocketAddress>& pod_resolvers,
                 upstream::Upstream& upstream)
    : from_(config.from),
      except_(config.except),
      servers_(Servers(config, pod_resolvers)),
      upstream_(upstream) {}

Forward::~Forward() { upstream_.Forget(servers_); }

Verdict Forward::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  if (!AnyHolds(from_, query) || AnyHolds(except_, query)) return Verdict::kNext;
  return upstream_.Ask(servers_, exchange);
}

void Forward::CollectMetrics(MetricFamilies& families) const { servers_.CollectMetrics(families); }

}  // namespace portolan::dns
