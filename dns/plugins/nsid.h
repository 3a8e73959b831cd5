// The directive `nsid`: tells clients that ask for it (RFC 5001) who answered.
//
//   nsid [DATA]
//
// DATA is the host's name, that of the pod, if nothing else is said.
// https://coredns.io/plugins/nsid/
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadNsid(const corefile::Directive& directive, LoadContext& context);

class Nsid : public Plugin {
 public:
  // REQUIRES: not empty.
  explicit Nsid(std::string data) : data_(std::move(data)) {}

  std::string_view name() const override { return "nsid"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;
  bool TakesChaos() const override { return true; }

 private:
  const std::string data_;
};

}  // namespace portolan::dns
