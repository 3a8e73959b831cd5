#include "dns/plugins/errors.h"

#include <array>

#include "common/log.h"
#include "dns/plugins/arguments.h"
#include "dns/wire/bytes.h"
#include "dns/wire/name.h"

namespace portolan::dns {

absl::Status LoadErrors(const corefile::Directive& directive, LoadContext& context) {
  static constexpr std::array<std::string_view, 2> kOptions = {"consolidate", "stacktrace"};
  absl::Status status = CheckArguments(directive, 0, 1);
  if (!status.ok()) return status;
  if (!directive.arguments.empty() && directive.arguments[0].text != "stdout") {
    const corefile::Token& file = directive.arguments[0];
    return file.Error(fmt::format("'{}': the log goes to 'stdout' only", file.text));
  }
  for (const corefile::Directive& line : directive.block) {
    if (line.name.text == "consolidate") {
      status = CheckArguments(line, 2, 4);
      if (!status.ok()) return status;
      AddNote(context.notes(), line.name, "errors",
              "errors are limited to a few lines a second instead");
    } else if (line.name.text == "stacktrace") {
      AddNote(context.notes(), line.name, "errors", "there are no stack traces");
    } else {
      return UnknownOption(line, "errors", kOptions);
    }
  }
  context.AddLink([](const PluginContext&) { return std::make_unique<Errors>(); });
  return absl::OkStatus();
}

bool Errors::MayLog() {
  const auto now = std::chrono::steady_clock::now();
  if (now - second_begin_ >= std::chrono::seconds(1)) {
    second_begin_ = now;
    lines_ = 0;
  }
  return lines_++ < kLinesPerSecond;
}

After Errors::OnReply(Exchange& exchange) {
  const auto reply = exchange.reply();
  if (reply.size() < wire::kHeaderBytes ||
      (reply[3] & 15) != static_cast<uint8_t>(wire::Rcode::kServFail)) {
    return After::kReply;
  }
  seen_.Add();
  if (!MayLog()) {
    unlogged_.Add();
    return After::kReply;
  }
  const wire::Query& query = exchange.query();
  const uint64_t left_out = unlogged_.value() - unlogged_told_;
  unlogged_told_ = unlogged_.value();
  log::error("errors: {} type {} from {}: SERVFAIL{}", wire::NameToText(query.lower_name()),
             query.type, exchange.client().ToString(),
             left_out == 0 ? "" : fmt::format(" (and {} more that were not logged)", left_out));
  return After::kReply;
}

void Errors::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "portolan_errors_total", "Questions that ended in SERVFAIL.", {},
                   static_cast<double>(seen_.value()));
  AddCounterSample(families, "portolan_errors_unlogged_total",
                   "Those of portolan_errors_total that the limit kept out of the log.", {},
                   static_cast<double>(unlogged_.value()));
}

}  // namespace portolan::dns
