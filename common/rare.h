// A member that nearly always has its default value.
//
// It takes the place of a pointer, and of a T of its own on the heap only once it has another
// value. A value type; any thread.
#pragma once

#include <memory>
#include <utility>

namespace portolan {

template <typename T>
class Rare {
 public:
  Rare() = default;
  Rare(const Rare& other) : value_(Copy(other)) {}  // NOLINT(clang-analyzer-*): value_ frees it
  Rare(Rare&&) noexcept = default;
  Rare& operator=(const Rare& other) {
    value_ = Copy(other);
    return *this;
  }
  Rare& operator=(Rare&&) noexcept = default;
  Rare& operator=(T value) {
    value_ = value == Default() ? nullptr : std::make_unique<T>(std::move(value));
    return *this;
  }

  const T& operator*() const { return value_ == nullptr ? Default() : *value_; }
  const T* operator->() const { return &**this; }

 private:
  static const T& Default() {
    static const T value{};
    return value;
  }
  static std::unique_ptr<T> Copy(const Rare& from) {
    return from.value_ == nullptr ? nullptr : std::make_unique<T>(*from.value_);
  }

  std::unique_ptr<T> value_;
};

}  // namespace portolan
