#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

#include "common/nearest.h"
#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/dns_words.h"
#include "dns/plugins/forward.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr std::string_view kPodResolvConf = "/etc/resolv.conf";
// RFC 7858 3.1
constexpr uint16_t kDnsOverTlsPort = 853;

// What is read before it can be put together.
struct Draft {
  ForwardConfig config;
  std::vector<std::string>* notes = nullptr;
  bool policy_given = false;
  const Token* tls = nullptr;
  upstream::TlsFiles tls_files;
  const Token* tls_name = nullptr;
  const Token* name_of_server = nullptr;  // a TO with %NAME
};

upstream::ServerOptions& Options(Draft& draft) { return draft.config.servers.options; }

absl::Status AddFile(const Token& token, Draft& draft) {
  auto conf = ReadResolvConf(token.text);
  if (!conf.ok()) return token.Error(Message(conf.status()));
  draft.notes->insert(draft.notes->end(), conf->skipped.begin(), conf->skipped.end());
  if (conf->nameservers.empty()) {
    return token.Error(fmt::format("{} names no server that can be used", token.text));
  }
  auto& servers = draft.config.servers.servers;
  servers.insert(servers.end(), conf->nameservers.begin(), conf->nameservers.end());
  return absl::OkStatus();
}

// "10.0.0.1", "10.0.0.1:1053", "fd00::1", "[fd00::1]", "[fd00::1]:1053"; port 0 where none is
// given.
absl::StatusOr<SocketAddress> ParseAddress(std::string_view text) {
  if (auto ip = IpAddress::Parse(text); ip.ok()) return SocketAddress{*ip, 0};
  if (text.starts_with('[') && text.ends_with(']')) {
    auto ip = IpAddress::Parse(text.substr(1, text.size() - 2));
    if (ip.ok()) return SocketAddress{*ip, 0};
  }
  auto address = SocketAddress::Parse(text);
  if (address.ok() && address->port == 0) return InvalidArgument("port 0");
  return address;
}

// "ADDRESS[:PORT]" and "%NAME" behind it; CoreDNS writes the port behind the name.
absl::StatusOr<upstream::ServerConfig> ParseTlsServer(const Token& token, std::string_view text) {
  const size_t percent = text.find('%');
  std::string_view name = percent == std::string_view::npos ? "" : text.substr(percent + 1);
  auto address = ParseAddress(text.substr(0, percent));
  if (!address.ok()) return token.Error(fmt::format("'{}' has no address", token.text));
  upstream::ServerConfig server(*address);
  if (const size_t colon = name.rfind(':'); colon != std::string_view::npos) {
    auto named = SocketAddress::Parse(fmt::format("0.0.0.0{}", name.substr(colon)));
    if (!named.ok() || named->port == 0 || address->port != 0) {
      return token.Error(
          fmt::format("'{}': '{}' is not its port", token.text, name.substr(colon + 1)));
    }
    server.address.port = named->port;
    name = name.substr(0, colon);
  }
  if (percent != std::string_view::npos && !wire::NameToWire(name).ok()) {
    return token.Error(fmt::format("'{}': '{}' is not a name", token.text, name));
  }
  if (server.address.port == 0) server.address.port = kDnsOverTlsPort;
  server.tls = true;
  server.tls_name = name;
  return server;
}

absl::StatusOr<upstream::ServerConfig> ParseServer(const Token& token) {
  std::string_view text = token.text;
  if (const size_t at = text.find("://"); at != std::string_view::npos) {
    const std::string_view scheme = text.substr(0, at);
    text.remove_prefix(at + 3);
    if (scheme == "tls") return ParseTlsServer(token, text);
    if (scheme != "dns") {
      return token.Error(fmt::format(
          "'{}': {}:// is not supported, and the questions must not travel in the clear instead",
          token.text, scheme));
    }
  }
  auto server = ParseAddress(text);
  if (!server.ok()) {
    return token.Error(fmt::format("'{}' is neither an address nor a file", token.text));
  }
  if (server->port == 0) server->port = kDnsPort;
  return upstream::ServerConfig(*server);
}

absl::Status AddServer(const Token& token, Draft& draft) {
  ForwardConfig& config = draft.config;
  if (token.text == kPodResolvConf) {
    if (config.pod_resolvers) return token.Error(fmt::format("{} stands twice", token.text));
    config.pod_resolvers = true;
    config.pod_resolvers_at = config.servers.servers.size();
    return absl::OkStatus();
  }
  if (token.text.starts_with('/')) return AddFile(token, draft);
  auto server = ParseServer(token);
  if (!server.ok()) return server.status();
  if (!server->tls_name.empty()) draft.name_of_server = &token;
  config.servers.servers.push_back(*std::move(server));
  return absl::OkStatus();
}

absl::Status ParseNumberOption(const Directive& line, size_t& out) {
  absl::Status status = CheckArguments(line, 1, 1);
  if (!status.ok()) return status;
  auto number = ParseNumber(line.arguments[0], std::numeric_limits<int32_t>::max());
  if (!number.ok()) return number.status();
  out = *number;
  return absl::OkStatus();
}

absl::Status ParseFlag(const Directive& line, bool& out) {
  out = true;
  return CheckArguments(line, 0, 0);
}

absl::Status ParseRcodes(const Directive& line, std::vector<uint16_t>& out) {
  if (line.arguments.empty()) {
    return line.name.Error(fmt::format("{} needs at least 1 argument", line.name.text));
  }
  for (const Token& token : line.arguments) {
    auto rcode = ParseRcode(token);
    if (!rcode.ok()) return rcode.status();
    out.push_back(*rcode);
  }
  return absl::OkStatus();
}

absl::Status ParseExcept(const Directive& line, Draft& draft) {
  if (line.arguments.empty()) return line.name.Error("except needs at least 1 argument");
  auto zones = corefile::ParseZones(line.arguments);
  if (!zones.ok()) return zones.status();
  auto& except = draft.config.except;
  except.insert(except.end(), zones->begin(), zones->end());
  return absl::OkStatus();
}

absl::Status ParsePolicy(const Directive& line, Draft& draft) {
  static constexpr std::array<std::string_view, 3> kPolicies = {"random", "round_robin",
                                                                "sequential"};
  static constexpr upstream::Policy kValues[] = {
      upstream::Policy::kRandom, upstream::Policy::kRoundRobin, upstream::Policy::kSequential};
  absl::Status status = CheckArguments(line, 1, 1);
  if (!status.ok()) return status;
  const Token& token = line.arguments[0];
  const auto found = std::find(kPolicies.begin(), kPolicies.end(), token.text);
  if (found == kPolicies.end()) {
    return token.Error(
        fmt::format("unknown policy '{}': random, round_robin or sequential", token.text));
  }
  draft.policy_given = true;
  draft.config.servers.policy = kValues[found - kPolicies.begin()];
  return absl::OkStatus();
}

absl::Status ParseForceTcp(const Directive& line, Draft& draft) {
  Options(draft).transports = upstream::Transports::kTcpOnly;
  return CheckArguments(line, 0, 0);
}

absl::Status ParsePreferUdp(const Directive& line, Draft&) { return CheckArguments(line, 0, 0); }

absl::Status ParseMaxConcurrent(const Directive& line, Draft& draft) {
  return ParseNumberOption(line, draft.config.servers.max_concurrent);
}

absl::Status ParseMaxConnectAttempts(const Directive& line, Draft& draft) {
  return ParseNumberOption(line, draft.config.servers.max_attempts);
}

absl::Status ParseMaxIdleConns(const Directive& line, Draft& draft) {
  return ParseNumberOption(line, Options(draft).streams.max_idle);
}

absl::Status ParseMaxFails(const Directive& line, Draft& draft) {
  size_t number = 0;
  absl::Status status = ParseNumberOption(line, number);
  Options(draft).health.max_fails = static_cast<int>(number);
  return status;
}

absl::Status ParseFailFast(const Directive& line, Draft& draft) {
  return ParseFlag(line, draft.config.servers.fail_fast);
}

absl::Status ParseRandomizeCase(const Directive& line, Draft& draft) {
  return ParseFlag(line, draft.config.servers.randomize_case);
}

absl::Status ParseExpire(const Directive& line, Draft& draft) {
  absl::Status status = CheckArguments(line, 1, 1);
  if (!status.ok()) return status;
  auto duration = ParseDuration(line.arguments[0]);
  if (duration.ok()) Options(draft).streams.expire = *duration;
  return duration.status();
}

absl::Status ParseHealthCheck(const Directive& line, Draft& draft) {
  static constexpr std::array<std::string_view, 2> kWords = {"no_rec", "domain"};
  absl::Status status = CheckArguments(line, 1, 4);
  if (!status.ok()) return status;
  upstream::HealthOptions& health = Options(draft).health;
  auto interval = ParseDuration(line.arguments[0]);
  if (!interval.ok()) return interval.status();
  health.interval = *interval;
  for (size_t i = 1; i < line.arguments.size(); ++i) {
    const Token& word = line.arguments[i];
    if (word.text == "no_rec") {
      health.recursion_desired = false;
    } else if (word.text == "domain") {
      if (++i == line.arguments.size()) return word.Error("domain needs a name");
      auto zone = wire::Zone::Parse(line.arguments[i].text);
      if (!zone.ok()) return line.arguments[i].Error(Message(zone.status()));
      health.domain = zone->wire;
    } else {
      return word.Error(fmt::format("unknown word '{}' of health_check{}", word.text,
                                    DidYouMean(word.text, kWords)));
    }
  }
  return absl::OkStatus();
}

absl::Status ParseFailover(const Directive& line, Draft& draft) {
  auto& rcodes = draft.config.servers.rules.failover;
  absl::Status status = ParseRcodes(line, rcodes);
  if (!status.ok()) return status;
  for (size_t i = 0; i < line.arguments.size(); ++i) {
    if (rcodes[rcodes.size() - line.arguments.size() + i] != 0) continue;
    return line.arguments[i].Error("failover cannot be for NOERROR");
  }
  return absl::OkStatus();
}

absl::Status ParseNext(const Directive& line, Draft& draft) {
  return ParseRcodes(line, draft.config.servers.rules.next);
}

absl::Status ParseNextOnNodata(const Directive& line, Draft& draft) {
  return ParseFlag(line, draft.config.servers.rules.next_on_nodata);
}

// As CoreDNS: none, CA, CERT KEY, or CERT KEY CA.
absl::Status ParseTls(const Directive& line, Draft& draft) {
  absl::Status status = CheckArguments(line, 0, 3);
  if (!status.ok()) return status;
  draft.tls = &line.name;
  const std::vector<Token>& files = line.arguments;
  if (files.size() >= 2) {
    draft.tls_files.certificate = files[0].text;
    draft.tls_files.key = files[1].text;
  }
  if (files.size() % 2 == 1) draft.tls_files.ca = files.back().text;
  return absl::OkStatus();
}

absl::Status ParseTlsServerName(const Directive& line, Draft& draft) {
  absl::Status status = CheckArguments(line, 1, 1);
  if (!status.ok()) return status;
  draft.tls_name = &line.arguments[0];
  if (auto name = wire::NameToWire(draft.tls_name->text); !name.ok()) {
    return draft.tls_name->Error(Message(name.status()));
  }
  return absl::OkStatus();
}

absl::Status NoteDohMethod(const Directive& line, Draft& draft) {
  AddNote(draft.notes, line.name, "forward", "DNS over HTTPS is not supported");
  return absl::OkStatus();
}

absl::Status NoteResolver(const Directive& line, Draft& draft) {
  AddNote(draft.notes, line.name, "forward", "TOs are addresses");
  return absl::OkStatus();
}

struct Option {
  std::string_view name;
  absl::Status (*parse)(const Directive& line, Draft& draft);
};
constexpr Option kOptions[] = {
    {"except", ParseExcept},
    {"policy", ParsePolicy},
    {"force_tcp", ParseForceTcp},
    {"prefer_udp", ParsePreferUdp},
    {"max_concurrent", ParseMaxConcurrent},
    {"tls", ParseTls},
    {"tls_servername", ParseTlsServerName},
    {"expire", ParseExpire},
    {"max_idle_conns", ParseMaxIdleConns},
    {"max_connect_attempts", ParseMaxConnectAttempts},
    {"health_check", ParseHealthCheck},
    {"max_fails", ParseMaxFails},
    {"failfast_all_unhealthy_upstreams", ParseFailFast},
    {"failover", ParseFailover},
    {"next", ParseNext},
    {"next_on_nodata", ParseNextOnNodata},
    {"randomize_case", ParseRandomizeCase},
    {"doh_method", NoteDohMethod},
    {"resolver", NoteResolver},
};

absl::Status ParseOption(const Directive& line, Draft& draft) {
  const auto found =
      std::find_if(std::begin(kOptions), std::end(kOptions),
                   [&](const Option& option) { return option.name == line.name.text; });
  if (found != std::end(kOptions)) return found->parse(line, draft);
  std::array<std::string_view, std::size(kOptions)> names;
  std::transform(std::begin(kOptions), std::end(kOptions), names.begin(),
                 [](const Option& option) { return option.name; });
  return UnknownOption(line, "forward", names);
}

// Once all is read: who is verified against what.
absl::Status FinishTls(const Directive& directive, Draft& draft) {
  auto& servers = draft.config.servers.servers;
  const bool any = std::any_of(servers.begin(), servers.end(),
                               [](const upstream::ServerConfig& server) { return server.tls; });
  if (!any) {
    const Token* idle = draft.tls != nullptr ? draft.tls : draft.tls_name;
    if (idle != nullptr) AddNote(draft.notes, *idle, "forward", "no TO begins with tls://");
    return absl::OkStatus();
  }
  if (draft.tls_name != nullptr && draft.name_of_server != nullptr) {
    return draft.tls_name->Error(fmt::format("'{}': '{}' has a name of its own",
                                             draft.tls_name->text, draft.name_of_server->text));
  }
  for (upstream::ServerConfig& server : servers) {
    if (draft.tls_name != nullptr && server.tls) server.tls_name = draft.tls_name->text;
    if (server.tls_name.ends_with('.')) server.tls_name.pop_back();
  }
  auto trust = upstream::TlsTrust::Load(draft.tls_files);
  if (!trust.ok()) {
    const Token& place = draft.tls != nullptr ? *draft.tls : directive.name;
    return place.Error(Message(trust.status()));
  }
  Options(draft).trust = *std::move(trust);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ForwardConfig> ParseForward(const Directive& directive,
                                           std::vector<std::string>* notes) {
  if (directive.arguments.size() < 2) {
    return directive.name.Error("forward needs a zone and at least one server");
  }
  Draft draft;
  draft.notes = notes;
  ForwardConfig& config = draft.config;
  config.servers.policy = upstream::Policy::kRandom;
  auto from = corefile::ParseZones(directive.arguments[0]);
  if (!from.ok()) return from.status();
  config.from = *std::move(from);
  for (size_t i = 1; i < directive.arguments.size(); ++i) {
    absl::Status status = AddServer(directive.arguments[i], draft);
    if (!status.ok()) return status;
  }
  const size_t count = config.servers.servers.size();
  if (count > upstream::kMaxServers) {
    return directive.name.Error(
        fmt::format("forward has {} servers, more than {}", count, upstream::kMaxServers));
  }
  for (const Directive& line : directive.block) {
    absl::Status status = ParseOption(line, draft);
    if (!status.ok()) return status;
  }
  absl::Status status = FinishTls(directive, draft);
  if (!status.ok()) return status;
  // The order of a resolv.conf is the order in which the C library asks.
  if (config.pod_resolvers && count == 0 && !draft.policy_given) {
    config.servers.policy = upstream::Policy::kSequential;
  }
  return std::move(config);
}

}  // namespace portolan::dns
