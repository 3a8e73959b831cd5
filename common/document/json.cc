#include "common/document/json.h"

#include <simdjson.h>

#include <utility>

#include "common/status.h"

namespace portolan {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;
using ValuePtr = std::shared_ptr<const Value>;

constexpr size_t kMaxDepth = 128;
constexpr size_t kUsualBytes = 64u << 10;
// simdjson needs some 14 bytes for each byte of the text.
constexpr size_t kKeptBytes = 1u << 20;

const WantedField* Find(const std::vector<WantedField>& wanted, std::string_view name) {
  for (const WantedField& field : wanted) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

ValuePtr Scalar(Value::Kind kind, std::string text) {
  auto value = std::make_shared<Value>();
  value->kind = kind;
  value->text = std::move(text);
  return value;
}

// Recursion ends at kMaxDepth, which the parser has checked.
ValuePtr Build(const element& json, const std::vector<WantedField>& wanted) {
  switch (json.type()) {
    case element_type::OBJECT: {
      auto value = std::make_shared<Value>();
      value->kind = Value::Kind::kMap;
      const simdjson::dom::object object = json.get_object().value_unsafe();
      for (const auto& [key, child] : object) {
        const WantedField* field = wanted.empty() ? nullptr : Find(wanted, key);
        if (field == nullptr && !wanted.empty()) continue;
        value->fields.emplace_back(key, Build(child, field == nullptr ? wanted : field->fields));
      }
      return value;
    }
    case element_type::ARRAY: {
      auto value = std::make_shared<Value>();
      value->kind = Value::Kind::kSequence;
      const simdjson::dom::array array = json.get_array().value_unsafe();
      value->items.reserve(array.size());
      for (const element& child : array) value->items.push_back(Build(child, wanted));
      return value;
    }
    case element_type::STRING:
      return Scalar(Value::Kind::kText, std::string(json.get_string().value_unsafe()));
    case element_type::INT64:
      return Scalar(Value::Kind::kPlain, fmt::to_string(json.get_int64().value_unsafe()));
    case element_type::UINT64:
      return Scalar(Value::Kind::kPlain, fmt::to_string(json.get_uint64().value_unsafe()));
    case element_type::DOUBLE:
      return Scalar(Value::Kind::kPlain, fmt::to_string(json.get_double().value_unsafe()));
    case element_type::BOOL:
      return Scalar(Value::Kind::kPlain, json.get_bool().value_unsafe() ? "true" : "false");
    case element_type::NULL_VALUE:
      break;
  }
  static const ValuePtr kNull = std::make_shared<const Value>();
  return kNull;
}

}  // namespace

struct JsonReader::Parser {
  Parser() : dom(kMaxJsonBytes) { failed = dom.allocate(kUsualBytes, kMaxDepth); }
  simdjson::dom::parser dom;
  simdjson::error_code failed;
};

JsonReader::JsonReader() = default;
JsonReader::~JsonReader() = default;

absl::StatusOr<ValuePtr> JsonReader::Read(std::string& text,
                                          const std::vector<WantedField>& wanted) {
  if (text.size() > kMaxJsonBytes) {
    return InvalidArgument("{} bytes; at most {} are read", text.size(), kMaxJsonBytes);
  }
  if (parser_ == nullptr) parser_ = std::make_unique<Parser>();
  if (parser_->failed) return InvalidArgument("{}", simdjson::error_message(parser_->failed));
  text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  element root;
  const auto error = parser_->dom.parse(text.data(), text.size(), false).get(root);
  if (error) return InvalidArgument("{}", simdjson::error_message(error));
  ValuePtr value = Build(root, wanted);
  if (text.size() > kKeptBytes) parser_.reset();
  return value;
}

}  // namespace portolan
