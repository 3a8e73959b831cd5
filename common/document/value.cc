#include "common/document/value.h"

#include <fmt/format.h>

#include <charconv>

namespace portolan {

Field Field::operator[](std::string_view key) const& {
  const Value* found = nullptr;
  if (Expect(Value::Kind::kMap, "a map")) {
    for (const auto& [name, child] : value_->fields) {
      if (name == key) found = child.get();
    }
  }
  return Field(found, this, key, -1);
}

bool Field::Expect(Value::Kind kind, std::string_view wanted) const {
  if (!present()) return false;
  if (value_->kind == kind) return true;
  Fail(fmt::format("is not {}", wanted));
  return false;
}

std::string Field::String() const {
  if (!present()) return {};
  if (value_->kind == Value::Kind::kText || value_->kind == Value::Kind::kPlain) {
    return value_->text;
  }
  Fail("is not a string");
  return {};
}

bool Field::Bool(bool absent) const {
  if (!present()) return absent;
  if (value_->kind == Value::Kind::kPlain) {
    if (value_->text == "true" || value_->text == "True" || value_->text == "TRUE") return true;
    if (value_->text == "false" || value_->text == "False" || value_->text == "FALSE") return false;
  }
  Fail(fmt::format("'{}' is neither true nor false", value_->text));
  return absent;
}

int64_t Field::Int(int64_t absent) const {
  if (!present()) return absent;
  int64_t number = 0;
  const char* end = value_->text.data() + value_->text.size();
  const auto [stop, error] = std::from_chars(value_->text.data(), end, number);
  if (value_->kind == Value::Kind::kPlain && error == std::errc() && stop == end) return number;
  if (value_->kind == Value::Kind::kText) {
    Fail(fmt::format("\"{}\" is a string, not a number", value_->text));
  } else {
    Fail(fmt::format("'{}' is not a whole number", value_->text));
  }
  return absent;
}

void Field::Fail(std::string what) const { errors_->Add({line(), Path(), std::move(what)}); }

int Field::line() const {
  const Field* place = this;
  while (place->value_ == nullptr && place->parent_ != nullptr) place = place->parent_;
  return place->value_ == nullptr ? 0 : place->value_->line;
}

std::string Field::Path() const {
  if (parent_ == nullptr) return {};
  std::string path = parent_->Path();
  if (index_ >= 0) return path + fmt::format("[{}]", index_);
  if (!path.empty()) path += '.';
  path += key_;
  return path;
}

}  // namespace portolan
