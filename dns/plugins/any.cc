#include "dns/plugins/any.h"

#include <algorithm>

#include "dns/plugins/arguments.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

constexpr uint16_t kHinfo = 13;
constexpr uint32_t kTtl = 8482;
// RFC 1035 3.3.2: CPU and OS as character strings.
constexpr std::string_view kRdata =
    "\x0d"
    "ANY obsoleted"
    "\x0c"
    "See RFC 8482";

}  // namespace

absl::Status LoadAny(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckBare(directive);
  if (!status.ok()) return status;
  context.AddLink([](const PluginContext&) { return std::make_unique<Any>(); });
  return absl::OkStatus();
}

Verdict Any::OnQuery(Exchange& exchange) {
  if (exchange.query().type != wire::type::kAny) return Verdict::kNext;
  wire::ReplyWriter reply(exchange.query(), exchange.room(), exchange.max_reply_bytes());
  const auto rdata =
      reply.Add(wire::Section::kAnswer, wire::kQuestionName, kHinfo, kTtl, kRdata.size());
  if (!rdata.empty()) std::copy(kRdata.begin(), kRdata.end(), rdata.begin());
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(wire::Rcode::kNoError, 0));
  return Verdict::kAnswered;
}

}  // namespace portolan::dns
