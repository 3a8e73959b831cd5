// Fields of JSON that may be anything: what is missing or of another type is nothing. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace portolan {

// null for what is not there.
const nlohmann::json& FieldOf(const nlohmann::json& object, std::string_view key);
// The array under `key`; empty for anything else.
const nlohmann::json& ListOf(const nlohmann::json& object, std::string_view key);
// A string or a whole number; empty for anything else.
std::string TextOf(const nlohmann::json& value);
std::string TextOf(const nlohmann::json& object, std::string_view key);

}  // namespace portolan
