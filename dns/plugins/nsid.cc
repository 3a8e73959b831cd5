#include "dns/plugins/nsid.h"

#include <algorithm>

#include "dns/plugins/arguments.h"
#include "dns/plugins/host_name.h"
#include "dns/wire/edns.h"

namespace portolan::dns {

absl::Status LoadNsid(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckNoBlock(directive);
  if (!status.ok()) return status;
  std::string data;
  for (const corefile::Token& word : directive.arguments) {
    data += (data.empty() ? "" : " ") + word.text;
  }
  if (data.empty()) data = HostName();
  context.AddLink([data](const PluginContext&) { return std::make_unique<Nsid>(data); });
  return absl::OkStatus();
}

After Nsid::OnReply(Exchange& exchange) {
  if (!wire::FindOption(exchange.query().edns_options, wire::kNsidOption).has_value()) {
    return After::kReply;
  }
  size_t bytes = exchange.reply().size();
  const auto option = wire::AppendOption(exchange.room(), bytes, exchange.max_reply_bytes(),
                                         wire::kNsidOption, data_.size());
  std::copy_n(data_.begin(), option.size(), option.begin());
  exchange.set_reply_bytes(bytes);
  return After::kReply;
}

}  // namespace portolan::dns
