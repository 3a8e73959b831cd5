// A document as its author wrote it: a tree of scalars, sequences and maps that knows its lines,
// whatever it was read from (YAML here, the Kubernetes API's JSON the same way).
//
// A Value is immutable once built and may be shared (a YAML alias is the same Value twice). A Field
// is a place in such a tree while it is being converted: it knows the way there, so that an error
// can name it. Fields belong to one thread and live on its stack.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace portolan {

struct Value {
  // kPlain is an unquoted scalar, which may be read as a number or a boolean; kText never is.
  enum class Kind : uint8_t { kNull, kPlain, kText, kSequence, kMap };

  Kind kind = Kind::kNull;
  int line = 0;      // 1 is the first; 0 when the source has no lines
  std::string text;  // kPlain, kText
  std::vector<std::shared_ptr<const Value>> items;                           // kSequence
  std::vector<std::pair<std::string, std::shared_ptr<const Value>>> fields;  // kMap
  // Of the content, without lines: equal for equal trees within one run of the program.
  uint64_t digest = 0;
};

// What is wrong and where. `path` is as kubectl writes it: spec.ports[0].port.
struct FieldError {
  int line = 0;
  std::string path;
  std::string what;
};

// Keeps the first error of a conversion; the rest of it goes on with default values, so that
// conversions read as a list of fields.
class FieldErrors {
 public:
  void Add(FieldError error) {
    if (!first_.has_value()) first_ = std::move(error);
  }
  bool ok() const { return !first_.has_value(); }
  const FieldError& first() const { return *first_; }

 private:
  std::optional<FieldError> first_;
};

class Field {
 public:
  // The root. `value` and `errors` must outlive it.
  Field(const Value& value, FieldErrors& errors) : value_(&value), errors_(&errors) {}
  Field(const Field&) = delete;
  Field& operator=(const Field&) = delete;

  // A child refers to its parent, hence no child of a temporary. Absent when there is no such key.
  // It is an error if this is there and not a map.
  Field operator[](std::string_view key) const&;
  Field operator[](std::string_view key) const&& = delete;

  // There and not null.
  bool present() const { return value_ != nullptr && value_->kind != Value::Kind::kNull; }
  const Value* value() const { return value_; }

  // Absent: the default. Another kind of value: an error, and the default. Unquoted numbers are
  // taken for strings as they stand; quoted numbers are no numbers, as with the API server.
  std::string String() const;
  bool Bool(bool absent) const;
  int64_t Int(int64_t absent) const;

  // visit(const Field& item) for each item of a sequence; none if absent or null.
  template <typename F>
  void ForEachItem(F&& visit) const {
    if (!Expect(Value::Kind::kSequence, "a list")) return;
    for (size_t i = 0; i < value_->items.size(); ++i) {
      const Field item(value_->items[i].get(), this, {}, static_cast<int>(i));
      visit(item);
    }
  }
  // visit(const std::string& key, const Field& field) for each field of a map.
  template <typename F>
  void ForEachField(F&& visit) const {
    if (!Expect(Value::Kind::kMap, "a map")) return;
    for (const auto& [key, child] : value_->fields) {
      const Field field(child.get(), this, key, -1);
      visit(key, field);
    }
  }

  void Fail(std::string what) const;
  // Where this is; an absent field is where its parent is.
  int line() const;

 private:
  Field(const Value* value, const Field* parent, std::string_view key, int index)
      : value_(value), parent_(parent), errors_(parent->errors_), key_(key), index_(index) {}

  // False, with an error unless it is absent or null, if the value is of another kind.
  bool Expect(Value::Kind kind, std::string_view wanted) const;
  std::string Path() const;

  const Value* value_ = nullptr;
  const Field* parent_ = nullptr;
  FieldErrors* errors_ = nullptr;
  std::string_view key_;
  int index_ = -1;
};

}  // namespace portolan
