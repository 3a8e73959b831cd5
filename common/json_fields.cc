#include "common/json_fields.h"

namespace portolan {

using nlohmann::json;

const json& FieldOf(const json& object, std::string_view key) {
  static const json kNothing;
  if (!object.is_object()) return kNothing;
  const auto it = object.find(key);
  return it == object.end() ? kNothing : *it;
}

const json& ListOf(const json& object, std::string_view key) {
  static const json kEmpty = json::array();
  const json& value = FieldOf(object, key);
  return value.is_array() ? value : kEmpty;
}

std::string TextOf(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_unsigned()) return std::to_string(value.get<uint64_t>());
  if (value.is_number_integer()) return std::to_string(value.get<int64_t>());
  return {};
}

std::string TextOf(const json& object, std::string_view key) {
  return TextOf(FieldOf(object, key));
}

}  // namespace portolan
