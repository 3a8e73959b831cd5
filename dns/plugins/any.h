// The directive `any`: answers questions of type ANY with a HINFO record that says so (RFC 8482).
//
//   any
//
// https://coredns.io/plugins/any/
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadAny(const corefile::Directive& directive, LoadContext& context);

class Any : public Plugin {
 public:
  std::string_view name() const override { return "any"; }
  Verdict OnQuery(Exchange& exchange) override;
};

}  // namespace portolan::dns
