#include "dns/plugins/whoami.h"

#include <algorithm>

#include "dns/plugins/arguments.h"
#include "dns/wire/bytes.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using wire::Section;

// _udp.NAME. 0 SRV 0 0 PORT .
void AddPort(wire::ReplyWriter& reply, const Exchange& exchange) {
  constexpr std::string_view kUdp = "\4_udp";
  constexpr std::string_view kTcp = "\4_tcp";
  constexpr size_t kRdataBytes = 7;
  const std::string_view label = exchange.transport() == Transport::kUdp ? kUdp : kTcp;
  const auto question = exchange.query().question;
  const auto name = question.first(question.size() - 4);
  if (label.size() + name.size() > wire::kMaxNameBytes) return;
  wire::NameBuffer owner;
  std::copy(label.begin(), label.end(), owner.bytes.begin());
  std::copy(name.begin(), name.end(), owner.bytes.begin() + label.size());
  owner.size = static_cast<uint8_t>(label.size() + name.size());
  const auto rdata =
      reply.Add(Section::kAdditional, owner.view(), wire::type::kSrv, 0, kRdataBytes);
  if (rdata.empty()) return;
  std::fill(rdata.begin(), rdata.end(), uint8_t{0});
  wire::Store16(&rdata[4], exchange.client().port);
}

}  // namespace

absl::Status LoadWhoami(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckBare(directive);
  if (!status.ok()) return status;
  context.AddLink([](const PluginContext&) { return std::make_unique<Whoami>(); });
  return absl::OkStatus();
}

Verdict Whoami::OnQuery(Exchange& exchange) {
  wire::ReplyWriter reply(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  const IpAddress& ip = exchange.client().ip;
  reply.AddSet(Section::kAdditional, wire::kQuestionName,
               ip.is_v4() ? wire::type::kA : wire::type::kAaaa, 0, ip.bytes(), ip.bytes().size());
  AddPort(reply, exchange);
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(wire::Rcode::kNoError, wire::flag::kAuthoritative));
  return Verdict::kAnswered;
}

}  // namespace portolan::dns
