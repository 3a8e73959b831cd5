#include "dns/plugins/autopath.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/nearest.h"
#include "common/resolv_conf.h"
#include "dns/corefile/zones.h"
#include "dns/wire/bytes.h"
#include "dns/wire/relabel.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using corefile::Token;

// Of Exchange::asked_instead: besides places in the search list.
constexpr uint32_t kFirstAgain = UINT32_MAX;

std::vector<wire::Zone> ParseSearch(const std::vector<std::string>& names) {
  std::vector<wire::Zone> search;
  for (const std::string& name : names) {
    auto zone = wire::Zone::Parse(name);
    if (zone.ok()) search.push_back(*std::move(zone));
  }
  return search;
}

// Another link as the source of the list.
absl::Status CheckSource(const Token& source) {
  static constexpr std::string_view kKnown[] = {"@kubernetes"};
  if (source.text == kKnown[0]) return absl::OkStatus();
  return source.Error(
      fmt::format("'{}' has no search list{}", source.text, DidYouMean(source.text, kKnown)));
}

bool SearchGoesOn(std::span<const uint8_t> reply) {
  const int rcode = wire::Load16(reply.data() + 2) & 15;
  return rcode == static_cast<int>(wire::Rcode::kNxDomain) ||
         rcode == static_cast<int>(wire::Rcode::kRefused);
}

// `asked` with `end` in place of `first`, at its end. False if that is too long.
bool Complete(const wire::Query& asked, const wire::Zone& first, const wire::Zone& end,
              wire::NameBuffer& out) {
  const size_t base = asked.name_bytes - first.wire.size();
  if (base + end.wire.size() > wire::kMaxNameBytes) return false;
  const auto behind = std::copy_n(asked.question.begin(), base, out.bytes.begin());
  std::copy(end.wire.begin(), end.wire.end(), behind);
  out.size = static_cast<uint8_t>(base + end.wire.size());
  return true;
}

}  // namespace

absl::Status LoadAutopath(const corefile::Directive& directive, LoadContext& context) {
  if (directive.arguments.empty()) {
    return directive.name.Error("autopath needs a resolv.conf or @kubernetes");
  }
  const Token& source = directive.arguments.back();
  auto zones = corefile::ParseZones(
      std::vector<Token>(directive.arguments.begin(), directive.arguments.end() - 1));
  if (!zones.ok()) return zones.status();
  if (zones->empty()) *zones = context.zones();
  if (source.text.starts_with('@')) {
    absl::Status status = CheckSource(source);
    if (!status.ok()) return status;
    context.AddLink([server = context.server(), zones = *zones,
                     kubernetes = context.kubernetes()](const PluginContext& pod) {
      const auto cluster_zone = kubernetes->has_value() ? (*kubernetes)->primary : std::nullopt;
      return std::make_unique<Autopath>(server, zones, PodSearchList(pod, cluster_zone));
    });
    return absl::OkStatus();
  }
  auto file = ReadResolvConf(source.text);
  if (!file.ok()) return source.Error(Message(file.status()));
  context.AddLink([server = context.server(), zones = *zones,
                   search = ParseSearch(file->search)](const PluginContext&) {
    return std::make_unique<Autopath>(server, zones, search);
  });
  return absl::OkStatus();
}

std::vector<wire::Zone> PodSearchList(const PluginContext& pod,
                                      const std::optional<wire::Zone>& cluster_zone) {
  if (!pod.search.empty()) return ParseSearch(pod.search);
  if (pod.pod_namespace.empty() || !cluster_zone.has_value()) return {};
  // https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
  const std::string& zone = cluster_zone->text;
  return ParseSearch({pod.pod_namespace + ".svc." + zone, "svc." + zone, zone});
}

Autopath::Autopath(std::string server, std::vector<wire::Zone> zones,
                   std::vector<wire::Zone> search)
    : server_(std::move(server)), zones_(std::move(zones)), search_(std::move(search)) {
  if (!search_.empty()) search_.push_back(*wire::Zone::Parse("."));
}

bool Autopath::Completes(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  return !search_.empty() && search_[0].Holds(query) && query.labels > search_[0].labels &&
         wire::AnyHolds(zones_, query) && exchange.completable();
}

After Autopath::OnReply(Exchange& exchange) {
  const std::optional<uint32_t> asked = exchange.asked_instead();
  if (!asked.has_value() && !Completes(exchange)) return After::kReply;
  if (asked == kFirstAgain) {
    exchange.TakeBack();
    return After::kReply;
  }
  if (SearchGoesOn(exchange.reply())) return AskNext(exchange, asked.value_or(0) + 1);
  if (asked.has_value()) AnswerWithFound(exchange);
  return After::kReply;
}

After Autopath::AskNext(Exchange& exchange, size_t next) {
  const bool first = !exchange.asked_instead().has_value();
  const wire::Query& client = first ? exchange.query() : exchange.query_before();
  const auto ask = [&](std::span<const uint8_t> name, uint32_t note) {
    if (!first) {
      exchange.SetInstead(name, client.type, note);
    } else if (!exchange.AskInstead(name, client.type, note)) {
      return After::kReply;  // the reply to the client's own question stands
    }
    return After::kAskBelow;
  };
  for (; next < search_.size(); ++next) {
    wire::NameBuffer name;
    if (!Complete(client, search_[0], search_[next], name)) continue;
    return ask(name.view(), static_cast<uint32_t>(next));
  }
  not_found_.Add();
  return first ? After::kReply : ask(client.question.first(client.name_bytes), kFirstAgain);
}

void Autopath::AnswerWithFound(Exchange& exchange) {
  exchange.TakeBack();
  const wire::Query& query = exchange.query();
  const auto asked = query.question.first(query.name_bytes);
  wire::Relabel relabel(exchange.reply(), query, exchange.room(), exchange.max_reply_bytes());
  for (bool first = true; relabel.Next(); first = false) {
    if (first && relabel.record().section == wire::Section::kAnswer) {
      relabel.AddCname(asked, relabel.record().ttl, relabel.owner().view());
    }
    relabel.Keep();
  }
  size_t bytes = relabel.Finish();
  (bytes != 0 ? completed_ : malformed_).Add();
  exchange.set_completed(bytes != 0);
  if (bytes == 0) bytes = wire::WriteEmptyReply(query, exchange.room(), wire::Rcode::kServFail);
  exchange.set_reply_bytes(bytes);
}

void Autopath::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "coredns_autopath_success_total",
                   "Questions answered with a name of the search list.", {{"server", server_}},
                   static_cast<double>(completed_.value()));
  constexpr std::string_view kFailed = "portolan_autopath_failed_total";
  constexpr std::string_view kHelp = "Questions that the search list did not answer, by reason.";
  AddCounterSample(families, kFailed, kHelp, {{"reason", "not_found"}},
                   static_cast<double>(not_found_.value()));
  AddCounterSample(families, kFailed, kHelp, {{"reason", "malformed"}},
                   static_cast<double>(malformed_.value()));
}

}  // namespace portolan::dns
