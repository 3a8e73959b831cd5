#include "dns/plugins/log.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"
#include "dns/wire/message.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

// As ReplyClass.
constexpr std::array<std::string_view, 4> kClasses = {"success", "denial", "error", "all"};

absl::Status AddClasses(const Directive& line, LogRule& rule) {
  if (line.arguments.empty()) return line.name.Error("class needs a class of replies");
  for (const Token& token : line.arguments) {
    const auto* word = std::find(kClasses.begin(), kClasses.end(), token.text);
    if (word == kClasses.end()) return UnknownWord(token, "log", kClasses);
    const auto at = static_cast<size_t>(word - kClasses.begin());
    if (token.text == "all") {
      rule.classes.fill(true);
    } else {
      rule.classes[at] = true;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LogRule> ParseRule(const Directive& directive) {
  static constexpr std::array<std::string_view, 1> kOptions = {"class"};
  std::vector<Token> names = directive.arguments;
  std::string format(LogFormat::kCommon);
  if (!names.empty() && names.back().text.find('{') != std::string::npos) {
    format = names.back().text;
    names.pop_back();
  }
  auto zones = corefile::ParseZones(names);
  if (!zones.ok()) return zones.status();
  if (zones->empty()) zones->push_back(*wire::Zone::Parse("."));
  LogRule rule{*std::move(zones), LogFormat(format), {}};
  for (const Directive& line : directive.block) {
    if (line.name.text != "class") return UnknownOption(line, "log", kOptions);
    absl::Status status = AddClasses(line, rule);
    if (!status.ok()) return status;
  }
  if (directive.block.empty()) rule.classes.fill(true);
  return rule;
}

}  // namespace

ReplyClass ClassOf(std::span<const uint8_t> reply) {
  wire::MessageReader reader(reply);
  const auto rcode = static_cast<wire::Rcode>(reader.rcode());
  const bool noerror = rcode == wire::Rcode::kNoError;
  if (noerror && reader.count(wire::Section::kAnswer) > 0) return ReplyClass::kSuccess;
  if (noerror || rcode == wire::Rcode::kNxDomain) {
    for (wire::MessageRecord record; reader.Next(record);) {
      const bool is_authority = record.section == wire::Section::kAuthority;
      if (is_authority && record.type == wire::type::kSoa) return ReplyClass::kDenial;
    }
  }
  return noerror ? ReplyClass::kSuccess : ReplyClass::kError;
}

absl::Status LoadLog(const Directive& directive, LoadContext& context) {
  auto rule = ParseRule(directive);
  if (!rule.ok()) return rule.status();
  std::shared_ptr<LogRules>& rules = context.log_rules();
  if (rules == nullptr) {
    rules = std::make_shared<LogRules>();
    context.AddLink([rules](const PluginContext&) {
      return std::make_unique<Log>(rules, LineOutput::Standard());
    });
  }
  rules->rules.push_back(*std::move(rule));
  return absl::OkStatus();
}

const LogRule* Log::Find(const wire::Query& query) const {
  for (const LogRule& rule : rules_->rules) {
    for (const wire::Zone& name : rule.names) {
      if (name.Holds(query)) return &rule;
    }
  }
  return nullptr;
}

After Log::OnReply(Exchange& exchange) {
  const LogRule* rule = Find(exchange.query());
  if (rule == nullptr || !rule->classes[static_cast<size_t>(ClassOf(exchange.reply()))]) {
    return After::kReply;
  }
  LogLine line;
  line.Add("[INFO] ");
  const auto duration = std::chrono::steady_clock::now() - exchange.received();
  rule->format.Write(exchange, absl::FromChrono(duration), line);
  (writer_->Write(line.Finish()) ? lines_ : dropped_).Add();
  return After::kReply;
}

void Log::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "portolan_log_lines_total", "Queries that were logged.", {},
                   static_cast<double>(lines_.value()));
  AddCounterSample(families, "portolan_log_dropped_total",
                   "Lines that the log had no room for, since its reader is slow.", {},
                   static_cast<double>(dropped_.value()));
}

}  // namespace portolan::dns
