#include "dns/plugins/dns64.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "common/ip.h"
#include "dns/plugins/arguments.h"
#include "dns/wire/message.h"
#include "dns/wire/relabel.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;
using wire::Section;
namespace rr = wire::type;

constexpr std::string_view kOptions[] = {"prefix", "translate_all", "allow_ipv4"};
constexpr uint32_t kTtlWithoutSoa = 600;  // RFC 6147 5.1.7

absl::Status ParsePrefix(const Token& token, Dns64Config& config) {
  const size_t slash = token.text.find('/');
  const auto address = IpAddress::Parse(token.text.substr(0, slash));
  size_t bits = 0;
  if (slash != std::string::npos) {
    const char* end = token.text.data() + token.text.size();
    const auto [stop, error] = std::from_chars(token.text.data() + slash + 1, end, bits);
    if (error != std::errc() || stop != end) bits = 0;
  }
  if (!address.ok() || address->is_v4() || bits % 8 != 0 || bits < 32 || bits > 96) {
    return token.Error(
        fmt::format("'{}' is no IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits such as 64:ff9b::/96",
                    token.text));
  }
  config.prefix_bytes = bits / 8;
  std::ranges::copy(address->bytes(), config.prefix.begin());
  return absl::OkStatus();
}

absl::Status ParseOption(const Directive& line, Dns64Config& config) {
  const std::string& name = line.name.text;
  if (name == "prefix") {
    absl::Status status = CheckArguments(line, 1, 1);
    return status.ok() ? ParsePrefix(line.arguments[0], config) : status;
  }
  if (name == "translate_all") {
    config.translate_all = true;
    return CheckArguments(line, 0, 0);
  }
  if (name == "allow_ipv4") {
    config.allow_ipv4 = true;
    return CheckArguments(line, 0, 0);
  }
  return UnknownOption(line, "dns64", kOptions);
}

// What the reply to the AAAA question says.
struct FirstReply {
  bool whole = false;
  bool has_aaaa = false;
  uint32_t soa_ttl = kTtlWithoutSoa;
};

FirstReply Read(std::span<const uint8_t> reply) {
  FirstReply read;
  wire::MessageReader reader(reply);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section == Section::kAnswer && record.type == rr::kAaaa) read.has_aaaa = true;
    if (record.section == Section::kAuthority && record.type == rr::kSoa) read.soa_ttl = record.ttl;
  }
  read.whole = reader.ok() && (reader.flags() & wire::flag::kTruncated) == 0 &&
               reader.rcode() != static_cast<uint16_t>(wire::Rcode::kNxDomain);
  return read;
}

}  // namespace

absl::Status LoadDns64(const Directive& directive, LoadContext& context) {
  Dns64Config config;
  config.server = context.server();
  absl::Status status = CheckArguments(directive, 0, 1);
  if (status.ok() && !directive.arguments.empty()) {
    status = ParsePrefix(directive.arguments[0], config);
  }
  for (size_t i = 0; status.ok() && i < directive.block.size(); ++i) {
    status = ParseOption(directive.block[i], config);
  }
  if (!status.ok()) return status;
  context.AddLink([config](const PluginContext&) { return std::make_unique<Dns64>(config); });
  return absl::OkStatus();
}

bool Dns64::Concerns(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  const bool validates = query.dnssec_ok && (query.flags & wire::flag::kCheckingDisabled) != 0;
  return query.type == rr::kAaaa && !validates &&
         (config_.allow_ipv4 || !exchange.client().ip.is_v4());
}

After Dns64::OnReply(Exchange& exchange) {
  if (const std::optional<uint32_t> most_ttl = exchange.asked_instead()) {
    Translate(exchange, *most_ttl);
    return After::kReply;
  }
  if (!Concerns(exchange)) return After::kReply;
  const FirstReply first = Read(exchange.reply());
  if (!first.whole || (first.has_aaaa && !config_.translate_all)) return After::kReply;
  const wire::Query& query = exchange.query();
  const auto name = query.question.first(query.name_bytes);
  return exchange.AskInstead(name, rr::kA, first.soa_ttl) ? After::kAskBelow : After::kReply;
}

void Dns64::Translate(Exchange& exchange, uint32_t most_ttl) {
  exchange.TakeBack();
  wire::Relabel relabel(exchange.reply(), exchange.query(), exchange.room(),
                        exchange.max_reply_bytes());
  while (relabel.Next()) {
    const wire::MessageRecord& record = relabel.record();
    const bool address = record.section == Section::kAnswer && record.type == rr::kA &&
                         record.rclass == wire::kClassIn && record.rdata_bytes == 4;
    if (!address) {
      relabel.Keep();
      continue;
    }
    relabel.Add(Section::kAnswer, relabel.owner().view(), rr::kAaaa, std::min(record.ttl, most_ttl),
                Mapped(relabel.rdata()));
  }
  size_t bytes = relabel.Finish();
  (bytes != 0 ? translated_ : malformed_).Add();
  if (bytes == 0) {
    bytes = wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kServFail);
  }
  exchange.set_reply_bytes(bytes);
}

// RFC 6052 2.2: the address behind the prefix, around the ninth byte, which is zero.
std::array<uint8_t, 16> Dns64::Mapped(std::span<const uint8_t> v4) const {
  std::array<uint8_t, 16> out{};
  std::copy_n(config_.prefix.begin(), config_.prefix_bytes, out.begin());
  size_t at = config_.prefix_bytes;
  for (const uint8_t byte : v4) {
    if (at == 8) ++at;
    out[at++] = byte;
  }
  return out;
}

void Dns64::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "coredns_dns64_requests_translated_total",
                   "AAAA questions answered from A records.", {{"server", config_.server}},
                   static_cast<double>(translated_.value()));
  AddCounterSample(families, "portolan_dns64_malformed_total",
                   "Replies with A records that could not be read.", {},
                   static_cast<double>(malformed_.value()));
}

}  // namespace portolan::dns
