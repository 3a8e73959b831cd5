#include "dns/plugins/forward.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "dns/corefile/words.h"
#include "dns/corefile/zones.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

UpstreamAddress AddressOf(const upstream::ServerConfig& server,
                          const upstream::ServerOptions& options) {
  const bool streams_only = server.tls || options.transports == upstream::Transports::kTcpOnly;
  return {server.address, streams_only ? Protocol::kTcp : Protocol::kUdp};
}

bool IsKnownByItsAddress(const upstream::ServerConfig& server) {
  return server.tls && server.tls_name.empty();
}

bool Lists(const std::vector<upstream::ServerConfig>& servers, const SocketAddress& address) {
  return std::any_of(servers.begin(), servers.end(),
                     [&](const auto& server) { return server.address == address; });
}

// Adds what is dialled in place of `server`. Two Services, or two addresses of one, may lead to the
// same endpoint, which is then asked in the first one's turn.
void AddDialled(const upstream::ServerConfig& server, const upstream::ServerOptions& options,
                const DialledInstead& dialled_instead,
                std::vector<upstream::ServerConfig>& servers) {
  const auto found = dialled_instead.find(AddressOf(server, options));
  if (found == dialled_instead.end() || IsKnownByItsAddress(server)) {
    return servers.push_back(server);
  }
  bool alternative = false;
  for (const SocketAddress& endpoint : found->second) {
    if (Lists(servers, endpoint)) continue;
    upstream::ServerConfig& added = servers.emplace_back(server);
    added.address = endpoint;
    added.alternative = std::exchange(alternative, true);
  }
}

upstream::ServerSetConfig Servers(const ForwardConfig& config, const PluginContext& context) {
  upstream::ServerSetConfig set = config.servers;
  if (config.pod_resolvers) {
    set.servers.insert(set.servers.begin() + static_cast<ptrdiff_t>(config.pod_resolvers_at),
                       context.pod_resolvers.begin(), context.pod_resolvers.end());
  }
  for (const upstream::ServerConfig& server : std::exchange(set.servers, {})) {
    AddDialled(server, set.options, context.dialled_instead, set.servers);
  }
  return set;
}

std::string Addresses(const upstream::ServerSetConfig& set) {
  std::string all;
  for (const upstream::ServerConfig& server : set.servers) all += server.address.ToString() + ' ';
  return all;
}

MakeLink MakeForward(ForwardConfig config) {
  return [config = std::move(config)](const PluginContext& context) {
    return std::make_unique<Forward>(config, context);
  };
}

// A zone whose names reach the block and are passed on by a `forward` from `from`.
wire::Zone Innermost(const std::vector<wire::Zone>& from, const std::vector<wire::Zone>& block) {
  wire::Zone zone = *wire::Zone::Parse(".");
  for (const auto* zones : {&block, &from}) {
    if (!zones->empty() && zones->front().labels >= zone.labels) zone = zones->front();
  }
  return zone;
}

// A `forward` that the block's `loop` looks after. Whether there is one is known once the whole
// block is read.
MakeLink MakeWatched(const ForwardConfig& config, LoadContext& context) {
  const size_t number = context.forwards().count;
  auto watch = std::make_shared<upstream::LoopWatch>(Innermost(config.from, context.zones()));
  context.forwards().watches.push_back(watch);
  return [config, watch, number, group = context.shared_forwards()](const PluginContext& worker) {
    ForwardConfig mine = config;
    if (group->loop) mine.servers.options.loop = watch;
    // As in CoreDNS `next` leads to another `forward` or nowhere.
    if (number == group->count) {
      mine.servers.rules.next.clear();
      mine.servers.rules.next_on_nodata = false;
    }
    return std::make_unique<Forward>(mine, worker);
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
  return config;
}

absl::Status LoadForward(const Directive& directive, LoadContext& context) {
  auto forward = ParseForward(directive, context.notes());
  if (!forward.ok()) return forward.status();
  std::vector<wire::Zone>& borders = *context.borders();
  borders.insert(borders.end(), forward->from.begin(), forward->from.end());
  borders.insert(borders.end(), forward->except.begin(), forward->except.end());
  ++context.forwards().count;
  for (const upstream::ServerConfig& server : forward->servers.servers) {
    if (IsKnownByItsAddress(server)) continue;
    context.forwards().upstreams.push_back(AddressOf(server, forward->servers.options));
  }
  context.forwards().words += corefile::WordsOf(directive) + Addresses(forward->servers);
  context.AddLink(MakeWatched(*std::move(forward), context));
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

MakeLink ForwardToPodResolvers(std::vector<wire::Zone> zones, LoadContext& context) {
  return MakeWatched(ForwardConfig::ToPodResolvers(std::move(zones)), context);
}

Forward::Forward(const ForwardConfig& config, const PluginContext& context)
    : from_(config.from),
      except_(config.except),
      servers_(Servers(config, context), context.upstream.context()),
      upstream_(context.upstream) {}

Forward::~Forward() { upstream_.Forget(servers_); }

Verdict Forward::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  if (!wire::AnyHolds(from_, query) || wire::AnyHolds(except_, query)) return Verdict::kNext;
  return upstream_.Ask(servers_, exchange);
}

nlohmann::json Forward::Explain(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  if (!wire::AnyHolds(from_, query) || wire::AnyHolds(except_, query)) return nullptr;
  nlohmann::json servers = nlohmann::json::array();
  std::string says;
  for (size_t i = 0; i < servers_.size(); ++i) {
    const upstream::Server& server = servers_.server(i);
    const std::string_view state =
        server.leads_back() ? "leads back" : (server.avoided() ? "asked last" : "up");
    servers.push_back({{"address", server.address().ToString()}, {"state", state}});
    says += fmt::format("{}{}", i == 0 ? "asks " : " or ", server.address().ToString());
  }
  if (says.empty()) says = "has no server to ask";
  return {{"servers", std::move(servers)}, {"says", says}};
}

nlohmann::json Forward::ExplainReply(const Exchange& exchange) const {
  const upstream::ServerSet::Story& story = servers_.story();
  if (!exchange.answered_by_upstream() || !story.answered.has_value()) {
    return {{"tries", story.tries},
            {"says", fmt::format("no answer from any server ({})", exchange.reason())}};
  }
  const std::string server = servers_.server(*story.answered).address().ToString();
  const double ms = std::chrono::duration<double, std::milli>(story.round_trip).count();
  return {{"tries", story.tries},
          {"server", server},
          {"roundTripMs", std::round(ms * 1000) / 1000},
          {"says", fmt::format("{} answered within {:.1f} ms", server, ms)}};
}

void Forward::CollectMetrics(MetricFamilies& families) const { servers_.CollectMetrics(families); }

}  // namespace portolan::dns
