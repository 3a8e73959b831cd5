#include "common/kubernetes/watch_stream.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/status.h"

namespace portolan {
namespace {

constexpr std::pair<std::string_view, WatchEvent::Type> kTypes[] = {
    {"ADDED", WatchEvent::Type::kAdded},     {"MODIFIED", WatchEvent::Type::kModified},
    {"DELETED", WatchEvent::Type::kDeleted}, {"BOOKMARK", WatchEvent::Type::kBookmark},
    {"ERROR", WatchEvent::Type::kError},
};

// The text after `"key":"`, up to the next quote; empty if it is not there.
std::string_view Quoted(std::string_view text, std::string_view key) {
  const std::string begin = fmt::format("\"{}\":\"", key);
  const size_t at = text.find(begin);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + begin.size());
  return text.substr(0, std::min<size_t>(text.find('"'), 253));
}

}  // namespace

std::string WatchEvent::resource_version() const {
  FieldErrors errors;
  const Field root(*object, errors);
  const Field metadata = root["metadata"];
  const Field version = metadata["resourceVersion"];
  return version.String();
}

bool WatchEvent::ends_initial_events() const {
  FieldErrors errors;
  const Field root(*object, errors);
  const Field metadata = root["metadata"];
  const Field annotations = metadata["annotations"];
  const Field end = annotations["k8s.io/initial-events-end"];
  return end.String() == "true";
}

std::string_view EventName(WatchEvent::Type type) {
  for (const auto& [name, known] : kTypes) {
    if (known == type) return name;
  }
  return "";
}

std::vector<WantedField> EventFields(std::vector<WantedField> of_object) {
  if (of_object.empty()) return {};
  for (WantedField own : {WantedField{"metadata", {{"resourceVersion"}, {"annotations"}}},
                          {"code"},
                          {"reason"},
                          {"message"}}) {
    const auto found = std::find_if(of_object.begin(), of_object.end(),
                                    [&](const WantedField& f) { return f.name == own.name; });
    if (found == of_object.end()) of_object.push_back(std::move(own));
  }
  return {{"type"}, {"object", std::move(of_object)}};
}

absl::StatusOr<WatchEvent> ReadEvent(JsonReader& reader, std::string& line,
                                     const std::vector<WantedField>& wanted) {
  auto value = reader.Read(line, wanted);
  if (!value.ok()) return value.status();
  WatchEvent event;
  FieldErrors errors;
  const Field root(**value, errors);
  const Field type = root["type"];
  const std::string name = type.String();
  const auto* known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const auto& entry) { return entry.first == name; });
  if (known == std::end(kTypes)) return InvalidArgument("an event of type '{}'", name);
  event.type = known->second;
  for (const auto& [key, child] : (*value)->fields) {
    if (key == "object") event.object = child;
  }
  if (event.object == nullptr || event.object->kind != Value::Kind::kMap) {
    return InvalidArgument("an event without an object");
  }
  return event;
}

std::string GuessName(std::string_view text) {
  const size_t metadata = text.find("\"metadata\":");
  if (metadata == std::string_view::npos) return {};
  text.remove_prefix(metadata);
  const std::string_view name = Quoted(text, "name");
  const std::string_view ns = Quoted(text, "namespace");
  if (name.empty()) return {};
  return ns.empty() ? std::string(name) : fmt::format("{}/{}", ns, name);
}

}  // namespace portolan
