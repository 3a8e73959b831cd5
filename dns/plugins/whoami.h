// The directive `whoami`: answers every question that comes by with the client's own address, port
// and transport, in the additional section.
//
//   whoami
//
// In a sidecar the client is the pod itself. https://coredns.io/plugins/whoami/
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadWhoami(const corefile::Directive& directive, LoadContext& context);

class Whoami : public Plugin {
 public:
  std::string_view name() const override { return "whoami"; }
  Verdict OnQuery(Exchange& exchange) override;
};

}  // namespace portolan::dns
