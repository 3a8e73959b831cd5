#include "xds/dashboard/sidecar_dns.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "absl/time/clock.h"
#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/plugins/registry.h"
#include "dns/plugins/service_records.h"
#include "dns/server/walk.h"
#include "dns/wire/ldns.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"
#include "dns/wire/query.h"

namespace portolan::xds {
namespace {

using dns::Verdict;
namespace wire = dns::wire;

// Those that answer, or that change what is asked or answered. `hosts` loses its file, which is the
// sidecar's; the rest watches, counts, stores or asks others.
constexpr std::array<std::string_view, 15> kAnswering = {
    "acl",   "any",     "auto",    "dns64",     "etcd",     "file", "hosts",     "k8s_external",
    "local", "minimal", "rewrite", "secondary", "template", "view", "kubernetes"};

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
struct FreeMalloced {
  void operator()(char* text) const { std::free(text); }
};

std::string TextOf(const ldns_rdf* field) {
  const std::unique_ptr<char, FreeMalloced> text(ldns_rdf2str(field));
  return text == nullptr ? std::string() : std::string(text.get());
}

SidecarDns::Record RecordOf(const ldns_rr* rr) {
  SidecarDns::Record record;
  record.name = TextOf(ldns_rr_owner(rr));
  record.type = wire::TypeWord(static_cast<uint16_t>(ldns_rr_get_type(rr)));
  record.ttl = ldns_rr_ttl(rr);
  for (size_t i = 0; i < ldns_rr_rd_count(rr); ++i) {
    if (i > 0) record.data.push_back(' ');
    record.data += TextOf(ldns_rr_rdf(rr, i));
  }
  return record;
}

// One that is unknown stays, to be found by the loader.
bool IsLeftOut(const dns::corefile::Directive& directive) {
  const std::string& name = directive.name.text;
  return dns::FindDirective(name) != nullptr &&
         std::find(kAnswering.begin(), kAnswering.end(), name) == kAnswering.end();
}

dns::corefile::Corefile AnsweringPartOf(dns::corefile::Corefile corefile) {
  for (auto& block : corefile.blocks) {
    std::erase_if(block.directives, IsLeftOut);
    for (auto& directive : block.directives) {
      if (directive.name.text != "hosts" || directive.arguments.empty()) continue;
      directive.arguments.front().text = "/dev/null";
    }
  }
  return corefile;
}

// A block whose names are all `kubernetes`'s, and the only one, shadows none.
bool MayShadow(const dns::corefile::Corefile& corefile) {
  if (corefile.blocks.size() != 1) return true;
  const auto& directives = corefile.blocks.front().directives;
  return directives.empty() || std::any_of(directives.begin(), directives.end(), [](const auto& d) {
           return d.name.text != "kubernetes" && d.name.text != "minimal";
         });
}

// A question that has to wait is one for another server.
class NoWaiting final : public dns::SuspendedPool {
 public:
  dns::Suspended* Suspend(dns::Exchange&) override { return nullptr; }
};

bool Has(const dns::Chain& chain, std::string_view directive) {
  return std::any_of(chain.links().begin(), chain.links().end(),
                     [&](const auto& link) { return link->name() == directive; });
}

}  // namespace

// A question with what must stay while it is answered.
struct SidecarDns::Asked {
  Asked(std::string_view name, uint16_t type) {
    const auto encoded = wire::NameToWire(name);
    if (!encoded.ok()) return;
    message = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};  // RD, one question
    message.insert(message.end(), encoded->begin(), encoded->end());
    for (const uint16_t field : {type, wire::kClassIn}) {
      message.push_back(static_cast<uint8_t>(field >> 8));
      message.push_back(static_cast<uint8_t>(field));
    }
    well_formed = wire::ParseQuery(message, query) == wire::ParseOutcome::kQuery;
  }

  std::vector<uint8_t> message;
  wire::Query query;
  bool well_formed = false;
};

SidecarDns::SidecarDns(EventLoop& loop)
    : loop_(loop), upstream_(loop), room_(wire::kMaxMessageBytes) {
  // It always loads.
  SetBuiltInCorefile().IgnoreError();
}
SidecarDns::~SidecarDns() = default;

absl::Status SidecarDns::SetBuiltInCorefile() { return SetCorefile(dns::kDefaultCorefile); }

absl::Status SidecarDns::SetCorefile(std::string_view text) {
  auto whole = dns::corefile::ParseCorefile(text, "Corefile", {});
  if (!whole.ok()) return whole.status();
  const auto corefile = AnsweringPartOf(*std::move(whole));
  dns::LoadOptions options;
  options.hosts_file = "/dev/null";
  const auto config = dns::LoadConfig(corefile, options);
  if (!config.ok()) return config.status();
  const auto chains =
      (*config)->Instantiate({.loop = loop_, .cluster = cluster_, .upstream = upstream_});
  routes_ = std::make_unique<dns::Routes>(chains->zones(), counters_, dns::Routes::Told{});
  may_shadow_ = MayShadow(corefile);
  return absl::OkStatus();
}

void SidecarDns::Hold(const Directory::Committed& committed) {
  dns::ServiceRecordsCompiler compiler;
  auto records = compiler.Apply(committed, absl::Now());
  cluster_.Replace(std::make_shared<const dns::ClusterData>(
      dns::ClusterData{dns::FeedTrust::kInSync, committed.snapshot, std::move(records)}));
}

SidecarDns::Reply SidecarDns::Ask(std::string_view name, uint16_t type) {
  const Asked asked(name, type);
  const dns::Route* route = asked.well_formed ? routes_->Find(asked.query) : nullptr;
  if (route == nullptr) return {.rcode = "FORMERR", .answers = {}, .by = {}};
  NoWaiting pool;
  questions_.Clear();
  // Over TCP nothing is cut short.
  dns::Exchange exchange(asked.query, {}, dns::Transport::kTcp, room_, pool, &questions_);
  exchange.set_max_reply_bytes(room_.size());
  dns::RoutePath path{route, nullptr};
  if (dns::Walk(*routes_, path, exchange, Verdict::kNext) != Verdict::kAnswered) return {};
  Reply reply = ReadReply(exchange.reply());
  const auto& links = path.route->to.chain->links();
  const size_t depth = exchange.answered_at();
  if (depth > 0 && depth <= links.size()) reply.by = links[depth - 1]->name();
  return reply;
}

SidecarDns::Reply SidecarDns::ReadReply(std::span<const uint8_t> bytes) const {
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, bytes.data(), bytes.size()) != LDNS_STATUS_OK) return {};
  const std::unique_ptr<ldns_pkt, FreePacket> packet(parsed);
  Reply reply;
  reply.rcode = wire::RcodeWord(static_cast<uint16_t>(ldns_pkt_get_rcode(parsed)));
  const ldns_rr_list* answers = ldns_pkt_answer(parsed);
  for (size_t i = 0; i < ldns_rr_list_rr_count(answers); ++i) {
    reply.answers.push_back(RecordOf(ldns_rr_list_rr(answers, i)));
  }
  return reply;
}

std::optional<SidecarDns::Shadow> SidecarDns::FindShadow(std::string_view name) {
  const Asked asked(name, wire::type::kA);
  const dns::Route* route = asked.well_formed ? routes_->Find(asked.query) : nullptr;
  if (route == nullptr) return std::nullopt;
  const dns::Chain& chain = *route->to.chain;
  if (!Has(chain, "kubernetes")) return Shadow{};
  NoWaiting pool;
  questions_.Clear();
  dns::Exchange exchange(asked.query, {}, dns::Transport::kTcp, room_, pool, &questions_);
  exchange.set_max_reply_bytes(room_.size());
  for (size_t i = 0; i < chain.links().size(); ++i) {
    if (chain.links()[i]->name() == "kubernetes") break;
    exchange.set_depth(i + 1);
    if (chain.links()[i]->OnQuery(exchange) == Verdict::kNext) continue;
    return Shadow{std::string(chain.links()[i]->name()), {}};
  }
  const auto now = exchange.query().lower_name();
  if (std::ranges::equal(now, asked.query.lower_name())) return std::nullopt;
  return Shadow{"rewrite", wire::NameToText(now)};
}

}  // namespace portolan::xds
