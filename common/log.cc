#include "common/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <string>

#include "common/status.h"

namespace portolan::log {

void Start(std::string_view program, spdlog::level::level_enum level) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>(std::string(program), std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %n: %v", spdlog::pattern_time_type::utc);
  logger->set_level(level);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

absl::Status SetLevel(std::string_view level) {
  for (auto known : {"debug", "info", "warn", "error"}) {
    if (level == known) {
      spdlog::set_level(spdlog::level::from_str(known));
      return absl::OkStatus();
    }
  }
  return InvalidArgument("log level '{}' is none of debug, info, warn, error", level);
}

}  // namespace portolan::log
