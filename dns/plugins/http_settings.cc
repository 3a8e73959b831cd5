#include "dns/plugins/http_settings.h"

#include <array>
#include <charconv>

#include "dns/plugins/arguments.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

absl::StatusOr<HttpAddress> ParseAddress(const Token& token) {
  const std::string_view text = token.text;
  const absl::Status bad =
      token.Error(fmt::format("'{}' is not an address such as :9153 or 127.0.0.1:9153", text));
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  HttpAddress address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) return bad;
  if (host.empty()) return address;
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto ip = IpAddress::Parse(host);
  if (!ip.ok()) return bad;
  address.ip = *ip;
  return address;
}

absl::StatusOr<std::optional<HttpAddress>> OptionalAddress(const Directive& directive) {
  absl::Status status = CheckArguments(directive, 0, 1);
  if (!status.ok()) return status;
  if (directive.arguments.empty()) return std::optional<HttpAddress>();
  auto address = ParseAddress(directive.arguments[0]);
  if (!address.ok()) return address.status();
  return std::optional<HttpAddress>(*address);
}

template <typename T>
absl::Status Keep(const Directive& directive, absl::StatusOr<T> settings, LoadContext& context,
                  std::optional<T>& kept) {
  if (!settings.ok()) return settings.status();
  if (kept.has_value()) {
    const Token& name = directive.name;
    context.notes()->push_back(
        fmt::format("{}:{}:{}: {}: an earlier server block's settings hold for the sidecar",
                    *name.file, name.line, name.column, name.text));
  } else {
    kept = *std::move(settings);
  }
  return absl::OkStatus();
}

absl::StatusOr<HealthSettings> ParseHealth(const Directive& directive) {
  static constexpr std::array<std::string_view, 1> kOptions = {"lameduck"};
  HealthSettings settings;
  auto address = OptionalAddress(directive);
  if (!address.ok()) return address.status();
  settings.address = *address;
  for (const Directive& line : directive.block) {
    if (line.name.text != "lameduck") return UnknownOption(line, "health", kOptions);
    absl::Status status = CheckArguments(line, 1, 1);
    if (!status.ok()) return status;
    auto lameduck = ParseDuration(line.arguments[0]);
    if (!lameduck.ok()) return lameduck.status();
    settings.lameduck = *lameduck;
  }
  return settings;
}

absl::StatusOr<ReadySettings> ParseReady(const Directive& directive,
                                         std::vector<std::string>* notes) {
  static constexpr std::array<std::string_view, 1> kOptions = {"monitor"};
  ReadySettings settings;
  auto address = OptionalAddress(directive);
  if (!address.ok()) return address.status();
  settings.address = *address;
  for (const Directive& line : directive.block) {
    if (line.name.text != "monitor") return UnknownOption(line, "ready", kOptions);
    absl::Status status = CheckArguments(line, 1, 1);
    if (!status.ok()) return status;
    AddNote(notes, line.name, "ready", "the sidecar's own rules of readiness hold");
  }
  return settings;
}

absl::StatusOr<PrometheusSettings> ParsePrometheus(const Directive& directive,
                                                   std::vector<std::string>* notes) {
  static constexpr std::array<std::string_view, 2> kOptions = {"runtime_metrics", "tls"};
  PrometheusSettings settings;
  auto address = OptionalAddress(directive);
  if (!address.ok()) return address.status();
  settings.address = *address;
  for (const Directive& line : directive.block) {
    if (line.name.text == "tls") {
      return line.name.Error("/metrics is served without TLS here: leave tls out to have it so");
    }
    if (line.name.text != "runtime_metrics") return UnknownOption(line, "prometheus", kOptions);
    AddNote(notes, line.name, "prometheus", "there is no Go runtime");
  }
  return settings;
}

}  // namespace

std::string HttpAddress::ToString() const {
  return ip.has_value() ? SocketAddress{*ip, port}.ToString() : fmt::format(":{}", port);
}

absl::Status LoadHealth(const Directive& directive, LoadContext& context) {
  return Keep(directive, ParseHealth(directive), context, context.http().health);
}

absl::Status LoadReady(const Directive& directive, LoadContext& context) {
  return Keep(directive, ParseReady(directive, context.notes()), context, context.http().ready);
}

absl::Status LoadPrometheus(const Directive& directive, LoadContext& context) {
  return Keep(directive, ParsePrometheus(directive, context.notes()), context,
              context.http().prometheus);
}

}  // namespace portolan::dns
