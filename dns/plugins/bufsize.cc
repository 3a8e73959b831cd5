#include "dns/plugins/bufsize.h"

#include <algorithm>

#include "dns/plugins/arguments.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

constexpr uint16_t kDefault = 1232;  // DNS flag day 2020
constexpr uint16_t kMost = 4096;

}  // namespace

absl::Status LoadBufsize(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckArguments(directive, 0, 1);
  if (status.ok()) status = CheckNoBlock(directive);
  if (!status.ok()) return status;
  uint16_t bytes = kDefault;
  if (!directive.arguments.empty()) {
    const corefile::Token& word = directive.arguments[0];
    auto number = ParseNumber(word, kMost);
    if (!number.ok() || *number < wire::kMinUdpPayload) {
      return word.Error(fmt::format("bufsize '{}' is not a number from {} to {}", word.text,
                                    wire::kMinUdpPayload, kMost));
    }
    bytes = static_cast<uint16_t>(*number);
  }
  context.AddLink([bytes](const PluginContext&) { return std::make_unique<Bufsize>(bytes); });
  return absl::OkStatus();
}

Verdict Bufsize::OnQuery(Exchange& exchange) {
  exchange.set_upstream_payload(std::min(exchange.upstream_payload(), bytes_));
  if (exchange.transport() == Transport::kUdp && exchange.query().edns) {
    exchange.set_max_reply_bytes(std::min<size_t>(exchange.max_reply_bytes(), bytes_));
  }
  return Verdict::kNext;
}

}  // namespace portolan::dns
