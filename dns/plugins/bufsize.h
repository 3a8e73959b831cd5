// The directive `bufsize`: the largest UDP message, with EDNS, on both sides: a client that takes
// more is treated as if it took this much, and upstreams are told so.
//
//   bufsize [SIZE]       512 to 4096, default 1232
//
// Upstreams are told 1232 at most in any case. https://coredns.io/plugins/bufsize/
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadBufsize(const corefile::Directive& directive, LoadContext& context);

class Bufsize : public Plugin {
 public:
  explicit Bufsize(uint16_t bytes) : bytes_(bytes) {}

  std::string_view name() const override { return "bufsize"; }
  Verdict OnQuery(Exchange& exchange) override;

 private:
  const uint16_t bytes_;
};

}  // namespace portolan::dns
