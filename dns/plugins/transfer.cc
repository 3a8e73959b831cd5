#include "dns/plugins/transfer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/kubernetes_name_servers.h"
#include "dns/plugins/kubernetes_soa.h"
#include "dns/plugins/load_context.h"
#include "dns/plugins/zone_transfer.h"
#include "dns/wire/message.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;
using wire::Rcode;

constexpr uint16_t kIxfr = 251, kAxfr = 252;

absl::Status ParseTo(const Directive& line, TransferConfig& config) {
  if (line.arguments.empty()) return line.name.Error("to needs at least one address");
  for (const Token& token : line.arguments) {
    if (token.text == "*") {
      config.to_everybody = true;
      continue;
    }
    auto ip = IpAddress::Parse(token.text);
    // The port is where CoreDNS would send notifies.
    const auto with_port = SocketAddress::Parse(token.text);
    if (!ip.ok() && with_port.ok()) ip = with_port->ip;
    if (!ip.ok()) return token.Error(fmt::format("'{}' is neither an address nor *", token.text));
    config.to.push_back(*ip);
  }
  return absl::OkStatus();
}

// RFC 1995: the version that the client has stands in the authority section. False if it does not.
bool ReadSerial(std::span<const uint8_t> message, uint32_t* serial) {
  wire::MessageReader reader(message);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section != wire::Section::kAuthority || record.type != wire::type::kSoa) continue;
    const size_t numbers = wire::SkipName(message, wire::SkipName(message, record.rdata_at));
    if (numbers == 0 || numbers + 20 != record.end()) return false;
    *serial = wire::Load32(message.data() + numbers);
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<TransferConfig> ParseTransfer(const Directive& directive,
                                             const std::vector<wire::Zone>& block_zones) {
  TransferConfig config;
  auto zones = corefile::ParseZones(directive.arguments);
  if (!zones.ok()) return zones.status();
  config.zones = zones->empty() ? block_zones : *std::move(zones);
  for (const Directive& line : directive.block) {
    constexpr std::string_view kKnown[] = {"to"};
    if (line.name.text != kKnown[0]) return UnknownOption(line, "transfer", kKnown);
    if (absl::Status status = ParseTo(line, config); !status.ok()) return status;
  }
  if (config.to.empty() && !config.to_everybody) return directive.name.Error("transfer needs 'to'");
  return config;
}

absl::Status LoadTransfer(const Directive& directive, LoadContext& context) {
  auto config = ParseTransfer(directive, context.zones());
  if (!config.ok()) return config.status();
  context.AddLink([config = *std::move(config),
                   kubernetes = context.kubernetes()](const PluginContext& worker) {
    return std::make_unique<Transfer>(config, *kubernetes, worker.cluster, NameServersOf(worker));
  });
  return absl::OkStatus();
}

Transfer::Transfer(TransferConfig config, std::optional<KubernetesConfig> kubernetes,
                   const ClusterDataHolder& cluster, std::vector<IpAddress> name_servers)
    : config_(std::move(config)),
      kubernetes_(std::move(kubernetes)),
      cluster_(cluster),
      name_servers_(std::move(name_servers)) {
  if (kubernetes_.has_value()) zones_ = ServedZones(*kubernetes_);
}

Verdict Transfer::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  if (query.type != kAxfr && query.type != kIxfr) return Verdict::kNext;
  if (exchange.transport() != Transport::kTcp) return Refuse(exchange, counters_.refused_udp);
  if (!wire::AnyHolds(config_.zones, query)) return Verdict::kNext;
  if (!Allows(exchange.client().ip)) return Refuse(exchange, counters_.refused_client);
  const ServedZone* zone = ZoneOf(query);
  if (zone == nullptr) return Verdict::kNext;

  const ClusterData& data = cluster_.current();
  exchange.set_local(true);
  if (data.trust != FeedTrust::kInSync) {
    exchange.set_reply_bytes(wire::WriteEmptyReply(query, exchange.room(), Rcode::kServFail));
    exchange.AddExtendedError(wire::ExtendedError::kNotReady, "the feed is not in sync");
    counters_.not_in_sync.Add();
    return Verdict::kAnswered;
  }
  if (kubernetes_->endpoints && !data.snapshot->holds_all_slices()) {
    const Verdict verdict = Refuse(exchange, counters_.refused_incomplete);
    exchange.AddExtendedError(wire::ExtendedError::kNotSupported,
                              "a transfer needs portolan-proxy --endpoints=eager");
    return verdict;
  }
  auto extent = ZoneTransfer::Extent::kZone;
  if (query.type == kIxfr) {
    uint32_t serial = 0;
    if (!ReadSerial(query.message, &serial)) {
      exchange.set_reply_bytes(wire::WriteEmptyReply(query, exchange.room(), Rcode::kServFail));
      counters_.no_serial.Add();
      return Verdict::kAnswered;
    }
    if (serial == SerialOf(data, *zone)) extent = ZoneTransfer::Extent::kSoa;
  }
  (extent == ZoneTransfer::Extent::kSoa ? counters_.unchanged : counters_.zones).Add();
  exchange.set_stream(
      std::make_shared<ZoneTransfer>(query, *zone, *kubernetes_, name_servers_, data, extent));
  return Verdict::kStream;
}

bool Transfer::Allows(const IpAddress& client) const {
  return config_.to_everybody ||
         std::find(config_.to.begin(), config_.to.end(), client) != config_.to.end();
}

const ServedZone* Transfer::ZoneOf(const wire::Query& query) const {
  const auto found = std::find_if(zones_.begin(), zones_.end(), [&](const ServedZone& zone) {
    return query.labels == zone.zone.labels && zone.zone.Holds(query);
  });
  if (found == zones_.end() || found->holds != ServedZone::Holds::kServices) return nullptr;
  return &*found;
}

Verdict Transfer::Refuse(Exchange& exchange, Counter& reason) {
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), Rcode::kRefused));
  exchange.set_local(true);
  reason.Add();
  return Verdict::kAnswered;
}

void Transfer::CollectMetrics(MetricFamilies& families) const {
  auto add = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(families, "portolan_dns_transfers_total",
                     "Questions for a whole zone by what became of them.", {{"outcome", outcome}},
                     static_cast<double>(counter.value()));
  };
  add("zone", counters_.zones);
  add("unchanged", counters_.unchanged);
  add("refused_udp", counters_.refused_udp);
  add("refused_client", counters_.refused_client);
  add("refused_endpoints_on_demand", counters_.refused_incomplete);
  add("feed_not_in_sync", counters_.not_in_sync);
  add("ixfr_without_serial", counters_.no_serial);
}

}  // namespace portolan::dns
