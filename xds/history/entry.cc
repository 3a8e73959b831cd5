#include "xds/history/entry.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <span>
#include <tuple>

#include "common/ip.h"
#include "common/status.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

struct CauseName {
  Cause cause;
  std::string_view word;
};
constexpr CauseName kCauses[] = {
    {Cause::kServiceCreated, "service-created"},
    {Cause::kServiceEdited, "service-edited"},
    {Cause::kServiceDeleted, "service-deleted"},
    {Cause::kPodReady, "pod-ready"},
    {Cause::kPodNotReady, "pod-not-ready"},
    {Cause::kPodTerminating, "pod-terminating"},
    {Cause::kScaledUp, "scaled-up"},
    {Cause::kScaledDown, "scaled-down"},
    {Cause::kEndpointsChanged, "endpoints-changed"},
    {Cause::kSliceCreated, "slice-created"},
    {Cause::kSliceDeleted, "slice-deleted"},
    {Cause::kFirstSeen, "first-seen"},
};

constexpr std::string_view kService = "Service";
constexpr std::string_view kEndpointSlice = "EndpointSlice";

std::string_view KindWord(HistoryKind kind) {
  return kind == HistoryKind::kService ? kService : kEndpointSlice;
}

std::optional<HistoryKind> ParseKind(std::string_view word) {
  if (word == kService) return HistoryKind::kService;
  if (word == kEndpointSlice) return HistoryKind::kEndpointSlice;
  return std::nullopt;
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Of what stands in a row; bytes that are no address are shown as none.
std::string AddressText(std::string_view bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (bytes.size() == 4) return IpAddress::V4(std::span<const uint8_t, 4>(data, 4)).ToString();
  if (bytes.size() == 16) return IpAddress::V6(std::span<const uint8_t, 16>(data, 16)).ToString();
  return "";
}

std::string ConditionWords(uint32_t bits) {
  const EndpointConditions conditions = ConditionsOf(bits);
  if (!conditions.terminating) return conditions.ready ? "ready" : "not ready";
  return conditions.ready || conditions.serving ? "terminating, serving" : "terminating";
}

// "backend-1", or where there is no pod its address.
template <typename Shown>
std::string Called(const Shown& shown) {
  if (shown.pod().empty()) return AddressText(shown.address());
  return shown.pod().substr(shown.pod().find('/') + 1);
}

// "backend-1", "backend-1 and 2 more"
template <typename List>
std::string FirstAndMore(const List& shown, uint32_t more) {
  if (shown.empty()) return "";
  const size_t others = static_cast<size_t>(shown.size()) - 1 + more;
  const std::string first = Called(shown[0]);
  return others == 0 ? first : fmt::format("{} and {} more", first, others);
}

size_t AddedCount(const history::Delta& delta) {
  return static_cast<size_t>(delta.added_size()) + delta.more_added();
}
size_t RemovedCount(const history::Delta& delta) {
  return static_cast<size_t>(delta.removed_size()) + delta.more_removed();
}
size_t ChangedCount(const history::Delta& delta) {
  return static_cast<size_t>(delta.changed_size()) + delta.more_changed();
}

std::string Endpoints(size_t count) {
  return fmt::format("{} endpoint{}", count, count == 1 ? "" : "s");
}

std::string ChangedEndpointsText(const history::Delta& delta) {
  std::string text;
  const auto add = [&text](size_t count, std::string_view what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  add(AddedCount(delta), "added");
  add(RemovedCount(delta), "removed");
  add(ChangedCount(delta), "changed");
  if (!delta.note().empty()) text += (text.empty() ? "" : "; ") + delta.note();
  return text.empty() ? "endpoints changed" : "endpoints: " + text;
}

std::string Summary(const Entry& entry) {
  const history::Delta& delta = entry.delta;
  switch (entry.position.cause) {
    case Cause::kServiceCreated:
      return "Service created";
    case Cause::kServiceEdited:
      return delta.note().empty() ? "Service edited" : "Service edited: " + delta.note();
    case Cause::kServiceDeleted:
      return "Service deleted";
    case Cause::kPodReady:
      return FirstAndMore(delta.changed(), delta.more_changed()) + " became ready";
    case Cause::kPodNotReady:
      return FirstAndMore(delta.changed(), delta.more_changed()) + " became unready";
    case Cause::kPodTerminating:
      return FirstAndMore(delta.changed(), delta.more_changed()) + " terminating";
    case Cause::kScaledUp:
      return FirstAndMore(delta.added(), delta.more_added()) + " added";
    case Cause::kScaledDown:
      return FirstAndMore(delta.removed(), delta.more_removed()) + " removed";
    case Cause::kEndpointsChanged:
      return ChangedEndpointsText(delta);
    case Cause::kSliceCreated:
      return fmt::format("EndpointSlice {} created, {} added", entry.position.slice,
                         Endpoints(AddedCount(delta)));
    case Cause::kSliceDeleted:
      return fmt::format("EndpointSlice {} deleted, {} removed", entry.position.slice,
                         Endpoints(RemovedCount(delta)));
    case Cause::kFirstSeen:
      return fmt::format("first seen, with {} ready", Endpoints(entry.endpoints.ready));
  }
  return "";
}

json AddressesJson(const google::protobuf::RepeatedPtrField<history::Shown>& shown) {
  json list = json::array();
  for (const history::Shown& one : shown) list.push_back(AddressText(one.address()));
  return list;
}

json ChangedJson(const history::Delta& delta) {
  json list = json::array();
  for (const history::ShownChange& one : delta.changed()) {
    list.push_back({{"address", AddressText(one.address())},
                    {"pod", one.pod()},
                    {"from", ConditionWords(one.from())},
                    {"to", ConditionWords(one.to())}});
  }
  return list;
}

// Of an entry of another replica, so not to be relied on.
std::string TextOf(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || !found->is_string() ? "" : found->get<std::string>();
}

}  // namespace

std::string_view CauseWord(Cause cause) {
  for (const CauseName& known : kCauses) {
    if (known.cause == cause) return known.word;
  }
  return "";
}

std::optional<Cause> ParseCause(std::string_view word) {
  for (const CauseName& known : kCauses) {
    if (known.word == word) return known.cause;
  }
  return std::nullopt;
}

std::string CauseWords() {
  std::string words;
  for (const CauseName& known : kCauses) {
    if (!words.empty()) words += ", ";
    words += known.word;
  }
  return words;
}

std::optional<Cause> CauseOf(int64_t number) {
  for (const CauseName& known : kCauses) {
    if (static_cast<int64_t>(known.cause) == number) return known.cause;
  }
  return std::nullopt;
}

std::optional<int64_t> VersionNumber(std::string_view text) {
  if (text.empty() || text.front() == '0' || text.front() == '-') return std::nullopt;
  return ParseNumber<int64_t>(text);
}

std::string Position::Change() const {
  return fmt::format("{}/{}/{}/{}/{}", CauseWord(cause), name.ToString(), KindWord(kind), slice,
                     resource_version);
}

std::string Position::ToToken() const { return fmt::format("{}/{}", unix_ms, Change()); }

std::optional<Position> Position::FromToken(std::string_view token) {
  std::array<std::string_view, 6> parts;
  for (std::string_view& part : parts) {
    const size_t slash = token.find('/');
    if (slash == token.npos) return std::nullopt;
    part = token.substr(0, slash);
    token.remove_prefix(slash + 1);
  }
  const auto time = ParseNumber<int64_t>(parts[0]);
  const auto cause = ParseCause(parts[1]);
  const auto kind = ParseKind(parts[4]);
  if (!time || !cause || !kind) return std::nullopt;
  return Position{*time, std::string(token),    {std::string(parts[2]), std::string(parts[3])},
                  *kind, std::string(parts[5]), *cause};
}

std::strong_ordering operator<=>(const Position& a, const Position& b) {
  // As SQLite orders them: numbers before texts.
  const auto version = [](const Position& p) {
    const auto number = VersionNumber(p.resource_version);
    return std::tuple(!number.has_value(), number.value_or(0),
                      number ? std::string_view() : std::string_view(p.resource_version));
  };
  if (const auto order = a.unix_ms <=> b.unix_ms; order != 0) return order;
  if (const auto order = version(a) <=> version(b); order != 0) return order;
  return std::tie(a.name, a.kind, a.slice, a.cause) <=> std::tie(b.name, b.kind, b.slice, b.cause);
}

json EntryJson(const Entry& entry) {
  const Position& at = entry.position;
  json out = {{"time", TimeJson(absl::FromUnixMillis(at.unix_ms))},
              {"namespace", at.name.ns},
              {"name", at.name.name},
              {"cause", CauseWord(at.cause)},
              {"summary", Summary(entry)},
              {"object",
               {{"kind", KindWord(at.kind)},
                {"namespace", at.name.ns},
                {"name", at.kind == HistoryKind::kService ? at.name.name : at.slice},
                {"resourceVersion", at.resource_version}}},
              {"endpoints",
               {{"ready", entry.endpoints.ready},
                {"serving", entry.endpoints.serving},
                {"terminating", entry.endpoints.terminating}}},
              {"added", AddressesJson(entry.delta.added())},
              {"removed", AddressesJson(entry.delta.removed())},
              {"changed", ChangedJson(entry.delta)}};
  const uint32_t more =
      entry.delta.more_added() + entry.delta.more_removed() + entry.delta.more_changed();
  if (more > 0) out["more"] = more;
  if (entry.delta.triggered_unix_s() > 0) {
    out["triggered"] = TimeJson(absl::FromUnixSeconds(entry.delta.triggered_unix_s()));
  }
  return out;
}

absl::StatusOr<absl::Time> ParseMoment(std::string_view text) {
  constexpr int64_t kEnd = 253402300800;  // 10000-01-01, Unix time in s
  absl::Time time;
  std::string why;
  if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &why)) {
    return InvalidArgument("'{}' is no time such as 2026-11-23T03:45:48.123Z: {}", text, why);
  }
  if (time < absl::UnixEpoch() || time >= absl::FromUnixSeconds(kEnd)) {
    return InvalidArgument("'{}' is no time from 1970 to 9999", text);
  }
  return time;
}

std::optional<Position> PositionOf(const json& entry) {
  if (!entry.is_object()) return std::nullopt;
  const auto object = entry.find("object");
  if (object == entry.end() || !object->is_object()) return std::nullopt;
  const auto time = ParseMoment(TextOf(entry, "time"));
  const auto cause = ParseCause(TextOf(entry, "cause"));
  const auto kind = ParseKind(TextOf(*object, "kind"));
  if (!cause || !kind || !time.ok()) return std::nullopt;
  Position position{absl::ToUnixMillis(*time),
                    TextOf(*object, "resourceVersion"),
                    {TextOf(entry, "namespace"), TextOf(entry, "name")},
                    *kind,
                    *kind == HistoryKind::kService ? "" : TextOf(*object, "name"),
                    *cause};
  return position;
}

uint32_t ConditionBits(const EndpointConditions& conditions) {
  return (conditions.ready ? 1u : 0u) | (conditions.serving ? 2u : 0u) |
         (conditions.terminating ? 4u : 0u);
}

EndpointConditions ConditionsOf(uint32_t bits) {
  return {.ready = (bits & 1) != 0, .serving = (bits & 2) != 0, .terminating = (bits & 4) != 0};
}

}  // namespace portolan::xds
