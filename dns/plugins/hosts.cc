#include "dns/plugins/hosts.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "common/files.h"
#include "common/text.h"
#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/kubernetes_soa.h"
#include "dns/wire/reply.h"
#include "dns/wire/reverse_name.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr uint16_t kFlags = wire::flag::kAuthoritative | wire::flag::kRecursionAvailable;
constexpr std::array<std::string_view, 5> kOptions = {"ttl", "no_reverse", "fallthrough", "reload",
                                                      "fallthrough_unsupported"};
constexpr std::string_view kWildcard("\1*", 2);  // the first label of "*.example"

std::string_view View(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// An address that is there already stays where it is.
template <typename T>
bool AddOnce(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) != list.end()) return false;
  list.push_back(value);
  return true;
}

absl::Status AddInline(const Directive& line, const IpAddress& address, HostsTable& table) {
  if (line.arguments.empty()) return line.name.Error("a name must follow the address");
  for (const Token& argument : line.arguments) {
    auto name = wire::NameToWire(argument.text);
    if (!name.ok()) {
      return argument.Error(fmt::format("'{}': {}", argument.text, Message(name.status())));
    }
    wire::LowerName(*name);
    table.Add(address, *name, {static_cast<uint32_t>(line.name.line), true});
  }
  return absl::OkStatus();
}

absl::Status ParseOption(const Directive& line, const std::vector<wire::Zone>& zones,
                         HostsConfig& config) {
  const std::string& name = line.name.text;
  if (name == "ttl") {
    absl::Status status = CheckArguments(line, 1, 1);
    if (!status.ok()) return status;
    auto ttl = ParseNumber(line.arguments[0], 65535);
    if (!ttl.ok()) return ttl.status();
    if (*ttl == 0) return line.arguments[0].Error("ttl must be above 0");
    config.ttl = static_cast<uint32_t>(*ttl);
    return absl::OkStatus();
  }
  if (name == "no_reverse") {
    config.reverse = false;
    return CheckArguments(line, 0, 0);
  }
  if (name == "fallthrough") {
    auto fallthrough = corefile::ParseZones(line.arguments);
    if (!fallthrough.ok()) return fallthrough.status();
    config.fallthrough = fallthrough->empty() ? zones : *std::move(fallthrough);
    return absl::OkStatus();
  }
  if (name == "reload") {
    absl::Status status = CheckArguments(line, 1, 1);
    if (!status.ok()) return status;
    auto period = ParseDuration(line.arguments[0]);
    if (!period.ok()) return period.status();
    config.reload = *period;
    return absl::OkStatus();
  }
  if (name == "fallthrough_unsupported") {
    config.unsupported_fall_through = true;
    return CheckArguments(line, 0, 0);
  }
  return UnknownOption(line, "hosts", kOptions);
}

void ReadHostsFile(const Token& at, const std::string& path, HostsTable& table,
                   std::vector<std::string>* notes) {
  auto text = ReadFile(path, kMaxHostsBytes);
  if (!text.ok()) {
    AddNote(notes, at, "hosts", fmt::format("its file is left out: {}", Message(text.status())));
    return;
  }
  const size_t left_out = table.AddFile(*text);
  if (left_out == 0) return;
  AddNote(notes, at, "hosts", fmt::format("{} entries of {} are left out", left_out, path));
}

}  // namespace

void HostsTable::Add(const IpAddress& address, const std::string& name, HostsPlace place) {
  Addresses& addresses = by_name_[name];
  if (addresses.place.line == 0) addresses.place = place;
  if (!AddOnce(address.is_v4() ? addresses.v4 : addresses.v6, address)) return;
  name_bytes_.set(name.size());
  ++entries_;
  if (name.starts_with(kWildcard)) {
    has_wildcards_ = true;
  } else {
    by_reverse_[wire::NameToWire(wire::ReverseName(address)).value()].push_back(name);
  }
}

size_t HostsTable::AddFile(std::string_view text) {
  size_t left_out = 0;
  for (uint32_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto words = SplitBlanks(line.substr(0, line.find('#')));
    if (words.size() < 2) continue;
    // "fe80::1%eth0": the zone means nothing to a client of ours.
    const auto address = IpAddress::Parse(words[0].substr(0, words[0].find('%')));
    for (size_t i = 1; i < words.size(); ++i) {
      auto name = wire::NameToWire(words[i]);
      if (!address.ok() || !name.ok()) {
        ++left_out;
        continue;
      }
      wire::LowerName(*name);
      Add(*address, *name, {number, false});
    }
  }
  return left_out;
}

const HostsTable::Addresses* HostsTable::FindName(std::string_view name) const {
  auto found = name_bytes_[name.size()] ? by_name_.find(name) : by_name_.end();
  if (found == by_name_.end() && has_wildcards_ && name.size() > 1) {
    std::array<char, wire::kMaxNameBytes + 2> wildcard;
    const std::string_view above = name.substr(1 + static_cast<uint8_t>(name[0]));
    std::copy(kWildcard.begin(), kWildcard.end(), wildcard.begin());
    std::copy(above.begin(), above.end(), wildcard.begin() + kWildcard.size());
    found = by_name_.find(std::string_view(wildcard.data(), kWildcard.size() + above.size()));
  }
  return found == by_name_.end() ? nullptr : &found->second;
}

const std::vector<std::string>* HostsTable::FindReverse(std::string_view reverse_name) const {
  const auto found = by_reverse_.find(reverse_name);
  return found == by_reverse_.end() ? nullptr : &found->second;
}

absl::StatusOr<HostsConfig> ParseHosts(const Directive& directive,
                                       const std::vector<wire::Zone>& block_zones,
                                       const std::string& default_file,
                                       std::vector<std::string>* notes) {
  HostsConfig config;
  config.zones = block_zones;
  std::string file = default_file;
  if (!directive.arguments.empty()) file = directive.arguments[0].text;
  if (directive.arguments.size() > 1) {
    auto zones = corefile::ParseZones(
        std::vector<Token>(directive.arguments.begin() + 1, directive.arguments.end()));
    if (!zones.ok()) return zones.status();
    config.zones = *std::move(zones);
  }
  auto table = std::make_shared<HostsTable>();
  ReadHostsFile(directive.name, file, *table, notes);
  config.file = std::move(file);
  config.corefile = *directive.name.file;
  for (const Directive& line : directive.block) {
    const auto address = IpAddress::Parse(line.name.text);
    absl::Status status =
        address.ok() ? AddInline(line, *address, *table) : ParseOption(line, config.zones, config);
    if (!status.ok()) return status;
  }
  if (config.unsupported_fall_through && config.fallthrough.empty()) {
    return directive.name.Error("fallthrough_unsupported needs fallthrough");
  }
  config.table = std::move(table);
  return config;
}

absl::Status LoadHosts(const Directive& directive, LoadContext& context) {
  // Before it is read, so that no change is missed.
  const std::string& default_file = context.options().hosts_file;
  const auto& arguments = directive.arguments;
  const auto stamp = FileStamp::Of(arguments.empty() ? default_file : arguments[0].text);
  auto hosts = ParseHosts(directive, context.zones(), default_file, context.notes());
  if (!hosts.ok()) return hosts.status();
  context.followed().Follow(hosts->file, hosts->reload, stamp);
  hosts->file_modified =
      stamp.has_value() ? absl::FromUnixNanos(stamp->modified_ns) : absl::UnixEpoch();
  context.AddLink(
      [hosts = *std::move(hosts)](const PluginContext&) { return std::make_unique<Hosts>(hosts); });
  return absl::OkStatus();
}

Verdict Hosts::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  if (!wire::AnyHolds(config_.zones, query)) return Verdict::kNext;
  if (query.type == wire::type::kPtr) {
    const Verdict verdict = AnswerReverse(exchange);
    if (verdict != Verdict::kNext) return verdict;
  }
  const bool falls_through = wire::AnyHolds(config_.fallthrough, query);
  if (const auto* addresses = config_.table->FindName(View(query.lower_name()))) {
    const bool supported = query.type == wire::type::kA || query.type == wire::type::kAaaa;
    if (config_.unsupported_fall_through && falls_through && !supported) return Verdict::kNext;
    return AnswerAddresses(exchange, *addresses);
  }
  if (query.type == wire::type::kPtr || falls_through) return Verdict::kNext;
  failed_.Add();
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(query, exchange.room(), wire::Rcode::kServFail, kFlags));
  return Verdict::kAnswered;
}

Verdict Hosts::AnswerReverse(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  const auto* names =
      config_.reverse ? config_.table->FindReverse(View(query.lower_name())) : nullptr;
  if (names == nullptr) return Verdict::kNext;
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  for (const std::string& name : *names) {
    auto rdata = reply.Add(wire::Section::kAnswer, wire::kQuestionName, wire::type::kPtr,
                           config_.ttl, name.size());
    if (rdata.empty()) break;
    std::copy(name.begin(), name.end(), rdata.begin());
  }
  answered_.Add();
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(wire::Rcode::kNoError, kFlags));
  return Verdict::kAnswered;
}

Verdict Hosts::AnswerAddresses(Exchange& exchange, const HostsTable::Addresses& addresses) {
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  const bool v4 = query.type == wire::type::kA;
  if (v4 || query.type == wire::type::kAaaa) {
    for (const IpAddress& address : v4 ? addresses.v4 : addresses.v6) {
      const auto bytes = address.bytes();
      auto rdata = reply.Add(wire::Section::kAnswer, wire::kQuestionName, query.type, config_.ttl,
                             bytes.size());
      if (rdata.empty()) break;
      std::copy(bytes.begin(), bytes.end(), rdata.begin());
    }
  }
  // Unlike CoreDNS's: without SOA resolvers must not keep it (RFC 2308 5). `hosts` answers for
  // single names, so the zone is the name.
  if (reply.answer_count() == 0 && !reply.truncated()) {
    AddSoa(reply, wire::Section::kAuthority, wire::kQuestionName, config_.ttl, 1);
  }
  answered_.Add();
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(wire::Rcode::kNoError, kFlags));
  return Verdict::kAnswered;
}

nlohmann::json Hosts::Explain(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  if (!wire::AnyHolds(config_.zones, query)) return nullptr;
  const HostsTable::Addresses* found = config_.table->FindName(View(query.lower_name()));
  if (query.type == wire::type::kPtr && config_.reverse) {
    const auto* names = config_.table->FindReverse(View(query.lower_name()));
    if (names != nullptr) found = config_.table->FindName(names->front());
  }
  if (found == nullptr) return nullptr;
  const HostsPlace& place = found->place;
  const std::string entry =
      fmt::format("{}:{}", place.in_corefile ? config_.corefile : config_.file, place.line);
  return {{"entry", entry}, {"says", fmt::format("an entry at {}", entry)}};
}

void Hosts::CollectMetrics(MetricFamilies& families) const {
  SetGaugeSample(families, "coredns_hosts_entries", "Entries of the hosts file and the Corefile.",
                 {}, static_cast<double>(config_.table->size()));
  SetGaugeSample(families, "coredns_hosts_reload_timestamp_seconds",
                 "When the hosts file that is in force was changed.", {},
                 absl::ToDoubleSeconds(config_.file_modified - absl::UnixEpoch()));
  AddCounterSample(families, "portolan_hosts_answers_total", "Questions answered by hosts.",
                   {{"outcome", "answered"}}, static_cast<double>(answered_.value()));
  AddCounterSample(families, "portolan_hosts_answers_total", "Questions answered by hosts.",
                   {{"outcome", "servfail"}}, static_cast<double>(failed_.value()));
}

}  // namespace portolan::dns
