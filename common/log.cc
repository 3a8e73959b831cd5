#include "common/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/status.h"

namespace portolan::log {
namespace {

std::string_view LevelWord(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warn";
    default:
      return "error";
  }
}

std::string_view View(spdlog::string_view_t text) { return {text.data(), text.size()}; }

class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& event, spdlog::memory_buf_t& line) override {
    const std::string json = JsonLine(absl::FromChrono(event.time), event.level,
                                      View(event.logger_name), View(event.payload));
    line.append(json.data(), json.data() + json.size());
    line.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

std::unique_ptr<spdlog::formatter> TextFormatter() {
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %L %n: %v",
                                                     spdlog::pattern_time_type::utc);
}

}  // namespace

void Start(std::string_view program, spdlog::level::level_enum level) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>(std::string(program), std::move(sink));
  logger->set_formatter(TextFormatter());
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

void SetFormat(std::string_view format) {
  std::unique_ptr<spdlog::formatter> formatter = TextFormatter();
  if (format == "json") formatter = std::make_unique<JsonFormatter>();
  spdlog::set_formatter(std::move(formatter));
}

std::string JsonLine(absl::Time time, spdlog::level::level_enum level, std::string_view program,
                     std::string_view message) {
  const nlohmann::ordered_json line = {
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone())},
      {"level", LevelWord(level)},
      {"program", program},
      {"message", message}};
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace portolan::log
