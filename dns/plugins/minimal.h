// The directive `minimal`: leaves authority and additional section out of replies that have an
// answer. What denies, refers or fails keeps them: there they are the message.
//
//   minimal
//
// https://coredns.io/plugins/minimal/
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadMinimal(const corefile::Directive& directive, LoadContext& context);

class Minimal : public Plugin {
 public:
  std::string_view name() const override { return "minimal"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  // The OPT record stays.
  After OnReply(Exchange& exchange) override;
};

}  // namespace portolan::dns
