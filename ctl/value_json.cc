#include "ctl/value_json.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "common/status.h"
#include "common/text.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;
using ValuePtr = std::shared_ptr<const Value>;

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), Lower(text)) != words.end();
}

bool IsTrueWord(std::string_view text) { return IsOneOf(text, {"true", "yes", "on", "y"}); }
bool IsFalseWord(std::string_view text) { return IsOneOf(text, {"false", "no", "off", "n"}); }

ValuePtr Scalar(Value::Kind kind, std::string_view text) {
  auto value = std::make_shared<Value>();
  value->kind = kind;
  value->text = text;
  return value;
}

// The parts of a JSON Pointer, unescaped.
std::vector<std::string> PartsOf(std::string_view pointer) {
  std::vector<std::string> parts;
  for (const char c : pointer) {
    if (c == '/') {
      parts.emplace_back();
    } else if (!parts.empty()) {
      parts.back() += c;
    }
  }
  for (std::string& part : parts) {
    for (size_t at = 0; (at = part.find('~', at)) != part.npos; ++at) {
      part.replace(at, 2, part.compare(at, 2, "~1") == 0 ? "/" : "~");
    }
  }
  return parts;
}

using Parts = std::vector<std::string>;

absl::StatusOr<ValuePtr> AddedAt(const Value& at, Parts::const_iterator part,
                                 Parts::const_iterator end, const ValuePtr& added);

absl::StatusOr<ValuePtr> AddedToMap(const Value& map, Parts::const_iterator part,
                                    Parts::const_iterator end, const ValuePtr& added) {
  auto copy = std::make_shared<Value>(map);
  const auto field = std::find_if(copy->fields.begin(), copy->fields.end(),
                                  [&](const auto& f) { return f.first == *part; });
  const bool here = part + 1 == end;
  if (field == copy->fields.end()) {
    if (!here) return NotFound("no field {}", *part);
    copy->fields.emplace_back(*part, added);
    return copy;
  }
  auto child = here ? added : AddedAt(*field->second, part + 1, end, added);
  if (!child.ok()) return child.status();
  field->second = *std::move(child);
  return copy;
}

absl::StatusOr<ValuePtr> AddedToList(const Value& list, Parts::const_iterator part,
                                     Parts::const_iterator end, const ValuePtr& added) {
  auto copy = std::make_shared<Value>(list);
  size_t index = copy->items.size();
  if (*part != "-") {
    std::from_chars(part->data(), part->data() + part->size(), index);
  }
  const bool here = part + 1 == end;
  if (index > copy->items.size() || (!here && index == copy->items.size())) {
    return NotFound("no item {}", *part);
  }
  const auto item = copy->items.begin() + static_cast<std::ptrdiff_t>(index);
  if (here) {
    copy->items.insert(item, added);
    return copy;
  }
  auto child = AddedAt(**item, part + 1, end, added);
  if (!child.ok()) return child.status();
  *item = *std::move(child);
  return copy;
}

absl::StatusOr<ValuePtr> AddedAt(const Value& at, Parts::const_iterator part,
                                 Parts::const_iterator end, const ValuePtr& added) {
  if (at.kind == Value::Kind::kMap) return AddedToMap(at, part, end, added);
  if (at.kind == Value::Kind::kSequence) return AddedToList(at, part, end, added);
  return NotFound("{} is in no object and no list", *part);
}

}  // namespace

json ScalarToJson(const Value& value) {
  if (value.kind == Value::Kind::kNull) return nullptr;
  if (value.kind == Value::Kind::kPlain) {
    if (IsTrueWord(value.text)) return true;
    if (IsFalseWord(value.text)) return false;
    json number = json::parse(value.text, nullptr, false);
    if (number.is_number()) return number;
  }
  return value.text;
}

ValuePtr TextValue(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./";
  const bool letter_first = !text.empty() && kPlain.substr(0, 52).find(text[0]) != kPlain.npos;
  const bool plain = letter_first && text.find_first_not_of(kPlain) == text.npos &&
                     !IsTrueWord(text) && !IsFalseWord(text) && !IsOneOf(text, {"null"});
  return Scalar(plain ? Value::Kind::kPlain : Value::Kind::kText, text);
}

ValuePtr FromJson(const json& from) {
  if (from.is_string()) return TextValue(from.get_ref<const std::string&>());
  if (!from.is_structured()) {
    return Scalar(from.is_null() ? Value::Kind::kNull : Value::Kind::kPlain, from.dump());
  }
  auto value = std::make_shared<Value>();
  value->kind = from.is_array() ? Value::Kind::kSequence : Value::Kind::kMap;
  for (const auto& [key, child] : from.items()) {
    if (from.is_array()) {
      value->items.push_back(FromJson(child));
    } else {
      value->fields.emplace_back(key, FromJson(child));
    }
  }
  return value;
}

absl::StatusOr<ValuePtr> Added(ValuePtr root, const std::string& prefix, const json& patch) {
  for (const json& operation : patch) {
    const Parts parts = PartsOf(prefix + operation.at("path").get<std::string>());
    auto next = AddedAt(*root, parts.begin(), parts.end(), FromJson(operation.at("value")));
    if (!next.ok()) return next.status();
    root = *std::move(next);
  }
  return root;
}

}  // namespace portolan::ctl
