#include "dns/plugins/errors.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "dns/plugins/arguments.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr size_t kMaxRegexp = 10000;  // CoreDNS's

// The reasons that operators already have regular expressions for, in CoreDNS's words.
constexpr std::pair<std::string_view, std::string_view> kCoreDnsWords[] = {
    {"no upstream answered in time", "read udp from every upstream: i/o timeout"},
    {"all upstreams fail their health checks", "no healthy proxies"},
    {"no upstream is configured", "no forwarder defined"},
    {"max_concurrent of forward is reached", "concurrent queries exceeded maximum"}};

std::string_view InCoreDnsWords(std::string_view reason) {
  if (reason.empty()) return "no plugin made a reply";
  for (const auto& [ours, theirs] : kCoreDnsWords) {
    if (reason == ours) return theirs;
  }
  return reason;
}

absl::Status ReadLevel(const Token& token, ErrorPattern& pattern) {
  static constexpr std::array<std::string_view, 5> kWords = {"warning", "error", "info", "debug",
                                                             "show_first"};
  const auto* word = std::find(kWords.begin(), kWords.end(), token.text);
  if (word == kWords.end()) return UnknownWord(token, "errors", kWords);
  if (token.text == "show_first") {
    pattern.first = ErrorPattern::First::kShown;
  } else {
    pattern.level = token.text;
    std::transform(pattern.level.begin(), pattern.level.end(), pattern.level.begin(),
                   [](char c) { return static_cast<char>(c & ~0x20); });
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ErrorPattern>> ParseConsolidate(const Directive& line) {
  absl::Status status = CheckArguments(line, 2, 4);
  if (status.ok()) status = CheckNoBlock(line);
  if (!status.ok()) return status;
  auto pattern = std::make_unique<ErrorPattern>();
  auto period = ParseDuration(line.arguments[0]);
  if (!period.ok()) return period.status();
  pattern->period = *period;
  const Token& regexp = line.arguments[1];
  if (regexp.text.size() > kMaxRegexp) {
    return regexp.Error(fmt::format("a regular expression of more than {} bytes", kMaxRegexp));
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  pattern->regexp = std::make_unique<const re2::RE2>(regexp.text, options);
  if (!pattern->regexp->ok()) {
    return regexp.Error(fmt::format("'{}': {}", regexp.text, pattern->regexp->error()));
  }
  for (size_t i = 2; i < line.arguments.size(); ++i) {
    status = ReadLevel(line.arguments[i], *pattern);
    if (!status.ok()) return status;
  }
  return pattern;
}

}  // namespace

ErrorPattern::ErrorPattern() = default;
ErrorPattern::~ErrorPattern() = default;

absl::Status LoadErrors(const Directive& directive, LoadContext& context) {
  static constexpr std::array<std::string_view, 2> kOptions = {"consolidate", "stacktrace"};
  absl::Status status = CheckArguments(directive, 0, 1);
  if (!status.ok()) return status;
  if (!directive.arguments.empty() && directive.arguments[0].text != "stdout") {
    const Token& file = directive.arguments[0];
    return file.Error(fmt::format("'{}': the log goes to 'stdout' only", file.text));
  }
  auto patterns = std::make_shared<ErrorPatterns>();
  for (const Directive& line : directive.block) {
    if (line.name.text == "consolidate") {
      auto pattern = ParseConsolidate(line);
      if (!pattern.ok()) return pattern.status();
      patterns->push_back(*std::move(pattern));
    } else if (line.name.text == "stacktrace") {
      status = CheckBare(line);
      if (!status.ok()) return status;
      AddNote(context.notes(), line.name, "errors", "there are no panics, so no stack traces");
    } else {
      return UnknownOption(line, "errors", kOptions);
    }
  }
  context.AddLink([patterns](const PluginContext& worker) {
    return std::make_unique<Errors>(patterns, worker.loop, LineOutput::Standard());
  });
  return absl::OkStatus();
}

Errors::Errors(std::shared_ptr<const ErrorPatterns> patterns, EventLoop& loop, LineOutput& output)
    : patterns_(std::move(patterns)),
      writer_(output.Open()),
      ends_period_(patterns_->size(), false) {
  for (size_t i = 0; i < patterns_->size(); ++i) {
    periods_.push_back(loop.AddTimer([this, i] {
      ends_period_[i] = false;
      EndPeriod(*(*patterns_)[i]);
    }));
  }
}

Errors::~Errors() {
  for (size_t i = 0; i < patterns_->size(); ++i) {
    if (ends_period_[i]) EndPeriod(*(*patterns_)[i]);
  }
}

After Errors::OnReply(Exchange& exchange) {
  const auto reply = exchange.reply();
  if (reply.size() < wire::kHeaderBytes ||
      (reply[3] & 15) != static_cast<uint8_t>(wire::Rcode::kServFail)) {
    return After::kReply;
  }
  seen_.Add();
  if (!exchange.answered_by_upstream()) Report(exchange, InCoreDnsWords(exchange.reason()));
  return After::kReply;
}

void Errors::Report(const Exchange& exchange, std::string_view reason) {
  for (size_t i = 0; i < patterns_->size(); ++i) {
    if (re2::RE2::PartialMatch(re2::StringPiece(reason.data(), reason.size()),
                               *(*patterns_)[i]->regexp)) {
      return Count(i, exchange, reason);
    }
  }
  Print("ERROR", exchange, reason);
}

void Errors::Count(size_t at, const Exchange& exchange, std::string_view reason) {
  ErrorPattern& pattern = *(*patterns_)[at];
  if (pattern.count.fetch_add(1, std::memory_order_relaxed) > 0) return;
  if (pattern.first == ErrorPattern::First::kShown) Print(pattern.level, exchange, reason);
  ends_period_[at] = true;
  periods_[at].Start(pattern.period);
}

void Errors::EndPeriod(ErrorPattern& pattern) {
  const uint32_t count = pattern.count.exchange(0, std::memory_order_relaxed);
  const uint32_t told = pattern.first == ErrorPattern::First::kShown ? 1 : 0;
  if (count <= told) return;
  Write(pattern.level,
        fmt::format("{} errors like '{}' occurred in last {}", count, pattern.regexp->pattern(),
                    absl::FormatDuration(pattern.period)));
}

void Errors::Print(std::string_view level, const Exchange& exchange, std::string_view reason) {
  const wire::Query& query = exchange.query();
  std::array<char, wire::kMaxNameTextBytes> name;
  const std::string_view type = wire::TypeWord(query.type);
  const std::string_view name_text(name.data(), wire::WriteNameText(query.lower_name(), name));
  fmt::basic_memory_buffer<char, 2048> line;
  fmt::format_to(std::back_inserter(line), "2 {} ", name_text);
  if (type.empty()) {
    fmt::format_to(std::back_inserter(line), "TYPE{}", query.type);
  } else {
    line.append(type);
  }
  fmt::format_to(std::back_inserter(line), ": {}", reason);
  Write(level, {line.data(), line.size()});
}

void Errors::Write(std::string_view level, std::string_view line) {
  if (level == "DEBUG") return;
  fmt::basic_memory_buffer<char, 2048> whole;
  fmt::format_to(std::back_inserter(whole), "[{}] plugin/errors: {}\n", level, line);
  if (!writer_->Write({whole.data(), whole.size()})) unlogged_.Add();
}

void Errors::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "portolan_errors_total", "Questions that ended in SERVFAIL.", {},
                   static_cast<double>(seen_.value()));
  AddCounterSample(families, "portolan_errors_unlogged_total",
                   "Lines of errors that the log had no room for, since its reader is slow.", {},
                   static_cast<double>(unlogged_.value()));
}

}  // namespace portolan::dns
