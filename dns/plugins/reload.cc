#include "dns/plugins/reload.h"

#include <algorithm>

#include "dns/plugins/arguments.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {
namespace {

constexpr absl::Duration kLeastInterval = absl::Seconds(2);
constexpr absl::Duration kLeastJitter = absl::Seconds(1);

}  // namespace

absl::StatusOr<ReloadSettings> ParseReload(const corefile::Directive& directive) {
  ReloadSettings settings;
  absl::Status status = CheckArguments(directive, 0, 2);
  status.Update(CheckNoBlock(directive));
  if (!status.ok()) return status;
  if (!directive.arguments.empty()) {
    const auto interval = ParseDuration(directive.arguments[0]);
    if (!interval.ok()) return interval.status();
    if (*interval < kLeastInterval) return directive.arguments[0].Error("at least 2s is needed");
    settings.interval = *interval;
  }
  if (directive.arguments.size() > 1) {
    const auto jitter = ParseDuration(directive.arguments[1]);
    if (!jitter.ok()) return jitter.status();
    if (*jitter < kLeastJitter) return directive.arguments[1].Error("at least 1s is needed");
    settings.jitter = *jitter;
  }
  settings.jitter = std::min(settings.jitter, settings.interval / 2);
  return settings;
}

absl::Status LoadReload(const corefile::Directive& directive, LoadContext& context) {
  const auto settings = ParseReload(directive);
  if (!settings.ok()) return settings.status();
  auto& kept = context.followed().reload;
  if (!kept.has_value()) {
    kept = *settings;
  } else if (!directive.arguments.empty()) {
    AddNote(context.notes(), directive.name, "reload",
            "an earlier server block's settings hold for the sidecar");
  }
  return absl::OkStatus();
}

}  // namespace portolan::dns
