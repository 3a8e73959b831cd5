#include "dns/plugins/template.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/plugins/dns_words.h"
#include "dns/wire/mnemonics.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;
using wire::Section;
namespace rr = wire::type;

constexpr std::string_view kOptions[] = {"match", "answer",  "additional",  "authority",
                                         "rcode", "ederror", "fallthrough", "upstream"};
constexpr uint16_t kFlags = wire::flag::kAuthoritative | wire::flag::kRecursionAvailable;

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::optional<Section> SectionOf(std::string_view option) {
  if (option == "answer") return Section::kAnswer;
  if (option == "authority") return Section::kAuthority;
  if (option == "additional") return Section::kAdditional;
  return std::nullopt;
}

absl::Status AddPatterns(const Directive& line, TemplateConfig& config) {
  if (line.arguments.empty()) return line.name.Error("match needs at least 1 argument");
  for (const Token& token : line.arguments) {
    auto pattern = NamePattern::Compile(token);
    if (!pattern.ok()) return pattern.status();
    config.patterns.push_back(*std::move(pattern));
  }
  return absl::OkStatus();
}

absl::Status AddRecords(const Directive& line, Section section, TemplateConfig& config,
                        std::vector<std::string>* notes) {
  if (line.arguments.empty()) {
    return line.name.Error(fmt::format("{} needs at least 1 argument", line.name.text));
  }
  for (const Token& token : line.arguments) {
    auto text = GoTemplate::Parse(token, config.patterns);
    if (!text.ok()) return text.status();
    TemplateConfig::Record record{section, *std::move(text), token.text, std::nullopt};
    if (record.text.uses_metadata()) {
      AddNote(notes, token, "template", "its metadata is empty: none is collected");
    }
    if (record.text.constant()) {
      std::array<char, Template::kMaxTextBytes> room;
      const auto rendered = record.text.Render({}, room);
      auto parsed =
          rendered.has_value() ? ParseRecord(rendered->data()) : InvalidArgument("it is too long");
      if (!parsed.ok()) {
        return token.Error(
            fmt::format("'{}' is no record: {}", token.text, Message(parsed.status())));
      }
      record.constant = *std::move(parsed);
    }
    config.records.push_back(std::move(record));
  }
  return absl::OkStatus();
}

absl::Status ParseExtendedError(const Directive& line, TemplateConfig& config) {
  absl::Status status = CheckArguments(line, 1, 2);
  if (!status.ok()) return status;
  auto code = ParseNumber(line.arguments[0], 65535);
  if (!code.ok()) return code.status();
  config.extended_error = static_cast<uint16_t>(*code);
  if (line.arguments.size() == 2) config.extended_reason = line.arguments[1].text;
  return absl::OkStatus();
}

absl::Status ParseOption(const Directive& line, TemplateConfig& config,
                         std::vector<std::string>* notes) {
  const std::string& name = line.name.text;
  if (name == "match") return absl::OkStatus();  // read before
  if (const auto section = SectionOf(name)) return AddRecords(line, *section, config, notes);
  if (name == "rcode") {
    absl::Status status = CheckArguments(line, 1, 1);
    if (!status.ok()) return status;
    auto rcode = ParseRcode(line.arguments[0]);
    if (!rcode.ok()) return rcode.status();
    config.rcode = *rcode;
    return absl::OkStatus();
  }
  if (name == "ederror") return ParseExtendedError(line, config);
  if (name == "fallthrough") {
    auto zones = corefile::ParseZones(line.arguments);
    if (!zones.ok()) return zones.status();
    config.fallthrough = zones->empty() ? std::vector{*wire::Zone::Parse(".")} : *std::move(zones);
    return absl::OkStatus();
  }
  if (name == "upstream") return absl::OkStatus();  // of old; aliases are always followed
  return UnknownOption(line, "template", kOptions);
}

}  // namespace

absl::StatusOr<TemplateConfig> ParseTemplate(const Directive& directive,
                                             const std::vector<wire::Zone>& block_zones,
                                             std::vector<std::string>* notes) {
  if (directive.arguments.size() < 2) {
    return directive.name.Error("template needs a class and a type");
  }
  TemplateConfig config;
  auto rclass = ParseClass(directive.arguments[0]);
  if (!rclass.ok()) return rclass.status();
  config.rclass = *rclass;
  constexpr uint16_t kServed[] = {wire::kClassIn, wire::kClassChaos, TemplateConfig::kAnyClass};
  if (std::ranges::find(kServed, *rclass) == std::end(kServed)) {
    AddNote(notes, directive.arguments[0], "template",
            "has no effect: only questions of the classes IN and CH are served");
  }
  auto type = ParseType(directive.arguments[1]);
  if (!type.ok()) return type.status();
  config.type = *type;
  auto zones = corefile::ParseZones(
      std::vector<Token>(directive.arguments.begin() + 2, directive.arguments.end()));
  if (!zones.ok()) return zones.status();
  config.zones = zones->empty() ? block_zones : *std::move(zones);
  // Records name groups of expressions that may stand behind them.
  for (const Directive& line : directive.block) {
    if (line.name.text != "match") continue;
    absl::Status status = AddPatterns(line, config);
    if (!status.ok()) return status;
  }
  for (const Directive& line : directive.block) {
    absl::Status status = ParseOption(line, config, notes);
    if (!status.ok()) return status;
  }
  const bool says = std::ranges::any_of(config.records, [](const TemplateConfig::Record& record) {
    return record.section != Section::kAdditional;
  });
  if (!says && config.rcode == 0) {
    return directive.name.Error("template has neither an answer nor an authority nor an rcode");
  }
  std::ranges::stable_sort(config.records, {}, &TemplateConfig::Record::section);
  return config;
}

absl::Status LoadTemplate(const Directive& directive, LoadContext& context) {
  auto config = ParseTemplate(directive, context.zones(), context.notes());
  if (!config.ok()) return config.status();
  // A copy: each worker compiles expressions of its own.
  context.AddLink([config = *std::move(config), server = context.server()](const PluginContext&) {
    return std::make_unique<Template>(config, server);
  });
  return absl::OkStatus();
}

Template::Template(TemplateConfig config, std::string server)
    : config_(std::move(config)),
      server_(std::move(server)),
      type_name_(TypeName(config_.type)),
      counters_(std::make_unique<Counters[]>(config_.zones.size())) {
  for (size_t i = 0; i < config_.zones.size(); ++i) {
    counters_[i].records = std::make_unique<Counters::OfRecord[]>(config_.records.size());
  }
}

bool Template::Asks(const wire::Query& query) const {
  const bool of_class =
      config_.rclass == TemplateConfig::kAnyClass || query.qclass == config_.rclass;
  return of_class &&
         (config_.type == rr::kAny || query.type == rr::kAny || query.type == config_.type);
}

// The zone with the most labels.
const wire::Zone* Template::ZoneOf(const wire::Query& query) const {
  const wire::Zone* best = nullptr;
  for (const wire::Zone& zone : config_.zones) {
    if (zone.Holds(query) && (best == nullptr || zone.labels > best->labels)) best = &zone;
  }
  return best;
}

bool Template::Match(std::string_view name, TemplateData& data) const {
  data.groups[0] = name;
  if (config_.patterns.empty()) return true;
  return std::ranges::any_of(config_.patterns, [&](const NamePattern& pattern) {
    data.pattern = &pattern;
    return pattern.Match(name, pattern.groups(), data.groups);
  });
}

Verdict Template::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  const wire::Zone* zone = ZoneOf(query);
  if (zone == nullptr || !Asks(query)) return Verdict::kNext;
  wire::TextBuffer name, asked;
  wire::WriteText(query.lower_name(), name);
  wire::WriteText(query.question.first(query.name_bytes), asked);
  TemplateData data;
  data.name = name.view();
  data.zone = zone->text;
  data.rclass = wire::ClassWord(query.qclass);
  data.question_name = asked.view();
  data.question_type = query.type;
  data.question_class = query.qclass;
  data.id = query.id;
  data.flags = query.flags;
  if (!Match(name.view(), data)) {
    return wire::AnyHolds(config_.fallthrough, query) ? Verdict::kNext
                                                      : Fail(exchange, wire::Rcode::kServFail);
  }
  Counters& counters = counters_[static_cast<size_t>(zone - config_.zones.data())];
  counters.matched.Add();
  if (config_.rcode == static_cast<uint16_t>(wire::Rcode::kServFail)) {
    return Fail(exchange, wire::Rcode::kServFail);
  }
  // Names of types and addresses are short: these stay within std::string's own room.
  const std::string type = TypeName(query.type == rr::kAny ? config_.type : query.type);
  const std::string remote = exchange.client().ip.ToString();
  data.type = type;
  data.remote = remote;
  return Answer(exchange, data, counters);
}

nlohmann::json Template::Explain(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  if (ZoneOf(query) == nullptr || !Asks(query)) return nullptr;
  wire::TextBuffer name;
  wire::WriteText(query.lower_name(), name);
  TemplateData data;
  if (!Match(name.view(), data)) {
    return {{"says", wire::AnyHolds(config_.fallthrough, query)
                         ? "none of its expressions matches: fallthrough"
                         : "none of its expressions matches, and there is no fallthrough"}};
  }
  if (data.pattern == nullptr) return {{"says", "takes every name of its zone"}};
  return {{"pattern", data.pattern->text()},
          {"says", fmt::format("'{}' matches", data.pattern->text())}};
}

Verdict Template::Answer(Exchange& exchange, const TemplateData& data, Counters& counters) {
  const wire::Query& query = exchange.query();
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  ends_in_cname_ = false;
  for (size_t i = 0; i < config_.records.size(); ++i) {
    if (!AddRecord(config_.records[i], data, counters.records[i], reply)) {
      return Fail(exchange, wire::Rcode::kServFail);
    }
  }
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(static_cast<wire::Rcode>(config_.rcode), kFlags));
  if (config_.extended_error.has_value()) {
    exchange.AddExtendedError(static_cast<wire::ExtendedError>(*config_.extended_error),
                              config_.extended_reason);
  }
  const bool address =
      query.qclass == wire::kClassIn && (query.type == rr::kA || query.type == rr::kAaaa);
  return address && ends_in_cname_ ? Verdict::kAlias : Verdict::kAnswered;
}

bool Template::AddRecord(const TemplateConfig::Record& record, const TemplateData& data,
                         Counters::OfRecord& counters, wire::ReplyWriter& reply) {
  const ParsedRecord* parsed = nullptr;
  absl::StatusOr<ParsedRecord> made = absl::UnknownError("");
  if (record.constant.has_value()) {
    parsed = &*record.constant;
  } else {
    std::array<char, kMaxTextBytes> room;
    const auto text = record.text.Render(data, room);
    if (!text.has_value()) {
      counters.template_failures.Add();
      return false;
    }
    if (IsBlank(*text)) return true;
    made = ParseRecord(text->data());
    if (!made.ok()) {
      counters.record_failures.Add();
      return false;
    }
    parsed = &*made;
  }
  const auto rdata =
      reply.Add(record.section, parsed->owner, parsed->type, parsed->ttl, parsed->rdata.size());
  std::copy_n(parsed->rdata.begin(), rdata.size(), rdata.begin());
  if (record.section == Section::kAnswer) ends_in_cname_ = parsed->type == rr::kCname;
  return true;
}

Verdict Template::Fail(Exchange& exchange, wire::Rcode rcode) {
  exchange.set_local(true);
  exchange.set_reply_bytes(wire::WriteEmptyReply(exchange.query(), exchange.room(), rcode));
  if (config_.extended_error.has_value()) {
    exchange.AddExtendedError(static_cast<wire::ExtendedError>(*config_.extended_error),
                              config_.extended_reason);
  }
  return Verdict::kAnswered;
}

void Template::CollectMetrics(MetricFamilies& families) const {
  static constexpr std::string_view kSections[] = {"answer", "authority", "additional"};
  const std::string_view rclass = wire::ClassWord(config_.rclass);
  for (size_t z = 0; z < config_.zones.size(); ++z) {
    const std::string& zone = config_.zones[z].text;
    AddCounterSample(families, "coredns_template_matches_total",
                     "Questions that a template answered.",
                     {{"server", server_},
                      {"zone", zone},
                      {"view", ""},
                      {"class", rclass},
                      {"type", type_name_}},
                     static_cast<double>(counters_[z].matched.value()));
    for (size_t i = 0; i < config_.records.size(); ++i) {
      const TemplateConfig::Record& record = config_.records[i];
      const auto add = [&](std::string_view name, std::string_view help, const Counter& counter) {
        AddCounterSample(families, name, help,
                         {{"server", server_},
                          {"zone", zone},
                          {"view", ""},
                          {"class", rclass},
                          {"type", type_name_},
                          {"section", kSections[static_cast<size_t>(record.section)]},
                          {"template", record.source}},
                         static_cast<double>(counter.value()));
      };
      add("coredns_template_template_failures_total", "Templates that could not be filled in.",
          counters_[z].records[i].template_failures);
      add("coredns_template_rr_failures_total", "Filled-in templates that were no record.",
          counters_[z].records[i].record_failures);
    }
  }
}

}  // namespace portolan::dns
