#include "ctl/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <string_view>

#include "common/flags.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "ctl/manifest.h"
#include "ctl/terminal.h"
#include "ctl/value_json.h"

namespace portolan::ctl {

std::string Json(const nlohmann::json& answer) {
  return answer.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string Yaml(const nlohmann::json& answer) {
  return YamlOf(*FromJson(answer), Letters::kAscii) + "\n";
}

std::string Short(double number) {
  if (number >= 1e9) return fmt::format("{:.1f}G", number / 1e9);
  if (number >= 1e6) return fmt::format("{:.1f}M", number / 1e6);
  if (number >= 1e4) return fmt::format("{:.1f}k", number / 1e3);
  return number == std::floor(number) ? fmt::format("{:.0f}", number)
                                      : fmt::format("{:.1f}", number);
}

std::string Short(const nlohmann::json& number) {
  return number.is_number() ? Short(number.get<double>()) : std::string();
}

std::string Percent(const nlohmann::json& ratio, int digits) {
  return ratio.is_number() ? fmt::format("{:.{}f}%", 100 * ratio.get<double>(), digits)
                           : std::string();
}

std::string Age(const std::string& since, absl::Time now) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, since, &time, nullptr)) return {};
  const int64_t s = std::max<int64_t>(0, absl::ToInt64Seconds(now - time));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{}m", s / 3600, s % 3600 / 60);
  return fmt::format("{}d{}h", s / 86400, s % 86400 / 3600);
}

std::string Age(const std::string& since, absl::Time now, const Look& look) {
  return look.absolute_times ? since : Age(since, now);
}

std::string Joined(const nlohmann::json& list) {
  std::string out;
  if (!list.is_array()) return out;
  for (const nlohmann::json& item : list) {
    if (!item.is_string()) continue;
    if (!out.empty()) out += ",";
    out += item.get<std::string>();
  }
  return out;
}

std::string ReplicaNotes(const nlohmann::json& answer, const Look& look) {
  std::string notes;
  for (const nlohmann::json& replica : ListOf(answer, "replicas")) {
    const std::string error = TextOf(replica, "error");
    if (error.empty()) continue;
    const std::string note =
        fmt::format("Without what {} knows: {}", TextOf(replica, "name"), error);
    notes += Styled(note, Tone::kWarning, look) + "\n";
  }
  return notes.empty() ? notes : "\n" + notes;
}

int Print(const std::string& text) {
  std::cout << text << std::flush;
  return std::cout ? kExitOk : kExitFailed;
}

int Fail(const absl::Status& status) {
  // Line by line: a message may be of several, and may hold what a server sent.
  std::string_view rest = Message(status);
  std::cerr << "portolanctl: ";
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::cerr << Printable(rest.substr(0, end)) << "\n";
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  }
  return kExitFailed;
}

}  // namespace portolan::ctl
