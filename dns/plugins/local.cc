#include "dns/plugins/local.h"

#include <algorithm>
#include <array>

#include "dns/plugins/arguments.h"
#include "dns/wire/bytes.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using wire::Section;

constexpr uint32_t kTtl = 604800;
constexpr std::string_view kLocalhost("\x09localhost\0", 11);
constexpr std::string_view kLocalhostLabel = kLocalhost.substr(0, 10);
constexpr std::string_view kRoot("\4root", 5);
// Of the three zones, the part behind their first label.
constexpr std::string_view kInAddrArpa("\7in-addr\4arpa\0", 14);
constexpr std::string_view kReverseOfLoopback(
    "\1\x31\1\x30\1\x30\3"
    "127\7in-addr\4arpa\0",
    24);

std::string_view NameFrom(const wire::Query& query, size_t label) {
  const size_t at = query.label_at[label];
  return {reinterpret_cast<const char*>(query.name.data()) + at, query.name_bytes - at};
}

// How many labels of `query` stand in front of the zone's that it is in: none of them, no value.
std::optional<size_t> LabelsBelowZone(const wire::Query& query) {
  if (query.labels >= 1 && NameFrom(query, query.labels - 1) == kLocalhost) {
    return query.labels - 1;
  }
  if (query.labels < 3 || NameFrom(query, query.labels - 2) != kInAddrArpa) return std::nullopt;
  const std::string_view name = NameFrom(query, query.labels - 3);
  const std::string_view first = name.substr(1, static_cast<size_t>(name[0]));
  if (first != "0" && first != "127" && first != "255") return std::nullopt;
  return query.labels - 3;
}

uint8_t* Put(uint8_t* at, std::string_view bytes) {
  return std::copy(bytes.begin(), bytes.end(), at);
}

void AddSoa(wire::ReplyWriter& reply, Section section, uint16_t owner_at) {
  constexpr std::array<uint32_t, 5> kNumbers = {1, 0, 0, 0, kTtl};  // serial to minimum
  const size_t bytes = 2 * kLocalhost.size() + kRoot.size() + 4 * kNumbers.size();
  const auto rdata = reply.Add(section, owner_at, wire::type::kSoa, kTtl, bytes);
  if (rdata.empty()) return;
  uint8_t* at = Put(Put(Put(rdata.data(), kLocalhost), kRoot), kLocalhost);
  for (uint32_t number : kNumbers) {
    wire::Store32(at, number);
    at += 4;
  }
}

void AddName(wire::ReplyWriter& reply, uint16_t type) {
  const auto rdata =
      reply.Add(Section::kAnswer, wire::kQuestionName, type, kTtl, kLocalhost.size());
  if (!rdata.empty()) Put(rdata.data(), kLocalhost);
}

// The loopback address of the family asked for; false for other types.
bool AddLoopback(wire::ReplyWriter& reply, uint16_t type) {
  constexpr std::array<uint8_t, 4> kV4 = {127, 0, 0, 1};
  constexpr std::array<uint8_t, 16> kV6 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  if (type == wire::type::kA) {
    reply.AddSet(Section::kAnswer, wire::kQuestionName, type, kTtl, kV4, kV4.size());
  } else if (type == wire::type::kAaaa) {
    reply.AddSet(Section::kAnswer, wire::kQuestionName, type, kTtl, kV6, kV6.size());
  }
  return type == wire::type::kA || type == wire::type::kAaaa;
}

Verdict Finish(Exchange& exchange, wire::ReplyWriter& reply, wire::Rcode rcode) {
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(rcode, 0));
  return Verdict::kAnswered;
}

Verdict AnswerLocalhost(Exchange& exchange) {
  wire::ReplyWriter reply(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  if (!AddLoopback(reply, exchange.query().type)) {
    AddSoa(reply, Section::kAuthority, wire::kQuestionName);
  }
  return Finish(exchange, reply, wire::Rcode::kNoError);
}

// A name that is a zone's own.
Verdict AnswerApex(Exchange& exchange, bool is_localhost) {
  const uint16_t type = exchange.query().type;
  if (is_localhost && (type == wire::type::kA || type == wire::type::kAaaa)) {
    return AnswerLocalhost(exchange);
  }
  wire::ReplyWriter reply(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  if (type == wire::type::kNs) {
    AddName(reply, type);
  } else {
    AddSoa(reply, type == wire::type::kSoa ? Section::kAnswer : Section::kAuthority,
           wire::kQuestionName);
  }
  return Finish(exchange, reply, wire::Rcode::kNoError);
}

Verdict AnswerBelow(Exchange& exchange, size_t labels_below) {
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  const bool exists = NameFrom(query, 0) == kReverseOfLoopback;
  if (exists && query.type == wire::type::kPtr) {
    AddName(reply, wire::type::kPtr);
  } else {
    AddSoa(reply, Section::kAuthority, wire::QuestionSuffix(query, labels_below));
  }
  return Finish(exchange, reply, exists ? wire::Rcode::kNoError : wire::Rcode::kNxDomain);
}

}  // namespace

absl::Status LoadLocal(const corefile::Directive& directive, LoadContext& context) {
  static constexpr std::array<std::string_view, 1> kOptions = {"localhost_prefix"};
  static constexpr std::array<std::string_view, 2> kSwitch = {"on", "off"};
  absl::Status status = CheckArguments(directive, 0, 0);
  if (!status.ok()) return status;
  auto prefix = Local::LocalhostPrefix::kAnswered;
  for (const corefile::Directive& line : directive.block) {
    if (line.name.text != kOptions[0]) return UnknownOption(line, "local", kOptions);
    status = CheckArguments(line, 1, 1);
    if (!status.ok()) return status;
    const corefile::Token& word = line.arguments[0];
    if (word.text != "on" && word.text != "off") return UnknownWord(word, "local", kSwitch);
    prefix =
        word.text == "on" ? Local::LocalhostPrefix::kAnswered : Local::LocalhostPrefix::kPassed;
  }
  context.AddLink([prefix](const PluginContext&) { return std::make_unique<Local>(prefix); });
  return absl::OkStatus();
}

Verdict Local::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  const std::optional<size_t> below = LabelsBelowZone(query);
  const bool in_localhost = below.has_value() && *below + 1 == query.labels;
  const bool has_prefix = prefix_ == LocalhostPrefix::kAnswered && query.labels > 1 &&
                          NameFrom(query, 0).starts_with(kLocalhostLabel);
  if (has_prefix || (in_localhost && *below > 0)) {
    localhost_.Add();
    return AnswerLocalhost(exchange);
  }
  if (!below.has_value()) return Verdict::kNext;
  return *below == 0 ? AnswerApex(exchange, in_localhost) : AnswerBelow(exchange, *below);
}

void Local::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "coredns_local_localhost_requests_total",
                   "Counter of localhost.<domain> requests.", {},
                   static_cast<double>(localhost_.value()));
}

}  // namespace portolan::dns
