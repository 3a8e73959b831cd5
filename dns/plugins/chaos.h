// The directive `chaos`: who made the server and where it runs, asked for as TXT in class CH.
//
//   chaos [VERSION] [AUTHORS...]
//
// version.bind. and version.server. are VERSION (default "Portolan-" and the release),
// authors.bind. the AUTHORS in any order, hostname.bind. and id.server. the host's name, in a
// sidecar the pod's. https://coredns.io/plugins/chaos/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadChaos(const corefile::Directive& directive, LoadContext& context);

// Each is at most 255 bytes: one character string (RFC 1035 3.3).
struct ChaosAnswers {
  std::string version;
  std::vector<std::string> authors;
  std::string host;
};

class Chaos : public Plugin {
 public:
  explicit Chaos(ChaosAnswers answers) : answers_(std::move(answers)) {}

  std::string_view name() const override { return "chaos"; }
  Verdict OnQuery(Exchange& exchange) override;
  bool TakesChaos() const override { return true; }

 private:
  const ChaosAnswers answers_;
  size_t first_author_ = 0;  // of the next reply
};

}  // namespace portolan::dns
