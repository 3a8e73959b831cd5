// The directives `health`, `ready` and `prometheus`: what they ask of the program's HTTP server.
// None is a link of a chain; where their pages are served is main's part (design: an address of the
// Corefile's own is opened unless the application wants the port).
//
//   health [ADDRESS] { lameduck DURATION }
//   ready [ADDRESS] { monitor until-first-success|continuously }
//   prometheus [ADDRESS]
//
// https://coredns.io/plugins/health/, ready/, metrics/. Any thread. Errors are Token::Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ip.h"
#include "dns/corefile/ast.h"

namespace portolan::dns {

// ":9153" (no ip: every address), "127.0.0.1:9153", "[::1]:9153", "localhost:9153".
struct HttpAddress {
  std::optional<IpAddress> ip;
  uint16_t port = 0;

  std::string ToString() const;
  friend bool operator==(const HttpAddress&, const HttpAddress&) = default;
};

struct HealthSettings {
  std::optional<HttpAddress> address;  // none: the sidecar's own page
  // How long to go on serving, with /health failing, before a stop.
  absl::Duration lameduck = absl::ZeroDuration();
};

struct ReadySettings {
  std::optional<HttpAddress> address;
};

struct PrometheusSettings {
  std::optional<HttpAddress> address;
};

class LoadContext;

// Into LoadContext::http(). Where an earlier server block has settings, those hold, and a note says
// so.
absl::Status LoadHealth(const corefile::Directive& directive, LoadContext& context);
absl::Status LoadReady(const corefile::Directive& directive, LoadContext& context);
absl::Status LoadPrometheus(const corefile::Directive& directive, LoadContext& context);

}  // namespace portolan::dns
