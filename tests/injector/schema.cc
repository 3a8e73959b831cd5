#include "tests/injector/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace portolan::injector {
namespace {

std::vector<std::string> Split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

bool IsScalar(const Json& json, const std::string& type) {
  if (type == "string") return json.is_string();
  if (type == "boolean") return json.is_boolean();
  if (type == "integer") return json.is_number_integer();
  return type == "integer|string" && (json.is_number_integer() || json.is_string());
}

void Append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Schema Schema::Read() {
  Schema schema;
  std::ifstream in("injector/schema.txt");
  EXPECT_TRUE(in) << "injector/schema.txt: run in tests/";
  std::string type;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != ' ') {
      type = line;
      schema.types_[type];
      continue;
    }
    std::istringstream words(line);
    std::string name;
    Member member;
    words >> name >> member.type;
    for (std::string word; words >> word;) {
      if (word == "required") {
        member.required = true;
      } else {
        member.words = Split(word, '|');
      }
    }
    schema.types_[type][name] = member;
  }
  return schema;
}

std::string Schema::TypeAt(const std::string& pointer) const {
  std::string type = "Pod";
  for (const std::string& part : Split(pointer.substr(1), '/')) {
    if (type.starts_with("[]") || type.starts_with("{}")) {
      type = type.substr(2);
      continue;
    }
    const auto members = types_.find(type);
    if (members == types_.end()) return {};
    const auto member = members->second.find(part);
    if (member == members->second.end()) return {};
    type = member->second.type;
  }
  return type;
}

std::vector<std::string> Schema::Faults(const Json& json, const std::string& type,
                                        const std::string& path) const {
  std::vector<std::string> faults;
  if (type.starts_with("[]")) {
    if (!json.is_array()) return {path + " is no list"};
    for (const Json& item : json) Append(faults, Faults(item, type.substr(2), path + "[]"));
    return faults;
  }
  if (type.starts_with("{}")) {
    if (!json.is_object()) return {path + " is no map"};
    for (const auto& [key, value] : json.items()) {
      Append(faults, Faults(value, type.substr(2), path + "." + key));
    }
    return faults;
  }
  if (const auto members = types_.find(type); members != types_.end()) {
    return ObjectFaults(json, members->second, path);
  }
  if (IsScalar(json, type)) return {};
  return {path + " is not of the type '" + type + "'"};
}

std::vector<std::string> Schema::ObjectFaults(const Json& json,
                                              const std::map<std::string, Member>& type,
                                              const std::string& path) const {
  if (!json.is_object()) return {path + " is no object"};
  std::vector<std::string> faults;
  for (const auto& [name, member] : type) {
    if (member.required && !json.contains(name))
      faults.push_back(path + "." + name + " is missing");
  }
  for (const auto& [name, value] : json.items()) {
    const std::string at = path + "." + name;
    const auto member = type.find(name);
    if (member == type.end()) {
      faults.push_back(at + ": no such field");
      continue;
    }
    Append(faults, Faults(value, member->second.type, at));
    const auto& words = member->second.words;
    if (!words.empty() && value.is_string() &&
        std::find(words.begin(), words.end(), value.get<std::string>()) == words.end()) {
      faults.push_back(at + ": no such word as " + value.dump());
    }
  }
  return faults;
}

}  // namespace portolan::injector
