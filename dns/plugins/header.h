// The directive `header`: sets or clears flags of the header.
//
//   header {
//       query set|clear FLAGS...
//       response set|clear FLAGS...
//       set|clear FLAGS...               the same as response
//   }
//
// FLAGS are aa, ra and rd. Those of the query are what the directives below and upstreams see, and
// rd is echoed in the reply. https://coredns.io/plugins/header/
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

// What happens to the two bytes of flags: of several rules for a flag the last one holds.
struct FlagRules {
  uint16_t set = 0;
  uint16_t clear = 0;

  uint16_t ApplyTo(uint16_t flags) const { return static_cast<uint16_t>((flags & ~clear) | set); }
  bool empty() const { return set == 0 && clear == 0; }
};

struct HeaderRules {
  FlagRules query;
  FlagRules response;
};

absl::Status LoadHeader(const corefile::Directive& directive, LoadContext& context);

class Header : public Plugin {
 public:
  explicit Header(const HeaderRules& rules) : rules_(rules) {}

  std::string_view name() const override { return "header"; }
  Verdict OnQuery(Exchange& exchange) override;
  After OnReply(Exchange& exchange) override;

 private:
  const HeaderRules rules_;
};

}  // namespace portolan::dns
