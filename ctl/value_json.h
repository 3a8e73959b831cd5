// Between a Value, which knows how its author wrote it, and JSON, which knows what it is; and the
// additions of a JSON Patch to a Value. Any thread; nothing is thrown.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "common/document/value.h"

namespace portolan::ctl {

// What kubectl takes a plain scalar for: YAML 1.1's booleans, whole and other numbers, else a
// string.
nlohmann::json ScalarToJson(const Value& value);

template <typename J>
J ToJson(const Value& value) {
  if (value.kind == Value::Kind::kMap) {
    J json = J::object();
    for (const auto& [key, child] : value.fields) json[key] = ToJson<J>(*child);
    return json;
  }
  if (value.kind == Value::Kind::kSequence) {
    J json = J::array();
    for (const auto& item : value.items) json.push_back(ToJson<J>(*item));
    return json;
  }
  return ScalarToJson(value);
}

// A string: plain where every reader takes it for one, else quoted.
std::shared_ptr<const Value> TextValue(std::string_view text);
std::shared_ptr<const Value> FromJson(const nlohmann::json& json);

// `root` with a patch of "add" operations, all below the JSON Pointer `prefix`. An error if it does
// not apply.
absl::StatusOr<std::shared_ptr<const Value>> Added(std::shared_ptr<const Value> root,
                                                   const std::string& prefix,
                                                   const nlohmann::json& patch);

}  // namespace portolan::ctl
