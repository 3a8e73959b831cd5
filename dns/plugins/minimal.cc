#include "dns/plugins/minimal.h"

#include <cstring>

#include "dns/plugins/arguments.h"
#include "dns/wire/message.h"

namespace portolan::dns {

absl::Status LoadMinimal(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckBare(directive);
  if (!status.ok()) return status;
  context.AddLink([](const PluginContext&) { return std::make_unique<Minimal>(); });
  return absl::OkStatus();
}

After Minimal::OnReply(Exchange& exchange) {
  const std::span<uint8_t> reply = exchange.reply();
  wire::MessageReader reader(reply);
  if (!reader.ok() || reader.rcode() != 0 || reader.count(wire::Section::kAnswer) == 0) {
    return After::kReply;
  }
  size_t answers_end = 0;
  size_t opt_at = 0;
  size_t opt_bytes = 0;
  size_t before = reader.position();
  for (wire::MessageRecord record; reader.Next(record); before = record.end()) {
    if (record.section == wire::Section::kAnswer) answers_end = record.end();
    if (record.type != wire::type::kOpt) continue;
    opt_at = before;
    opt_bytes = record.end() - before;
  }
  if (!reader.ok()) return After::kReply;
  // Its owner is the root and no name in it is compressed: it may stand anywhere.
  if (opt_bytes > 0) std::memmove(&reply[answers_end], &reply[opt_at], opt_bytes);
  wire::Store16(&reply[8], 0);
  wire::Store16(&reply[10], opt_bytes > 0 ? 1 : 0);
  exchange.set_reply_bytes(answers_end + opt_bytes);
  return After::kReply;
}

}  // namespace portolan::dns
