// "namespace/name" of a Service in place, without an allocation: to find it in a snapshot, and as a
// key where questions and connections wait for it. A value; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "directory/model.h"

namespace portolan {

class ServiceKey {
 public:
  ServiceKey() = default;
  // Empty for what is longer than two labels of DNS.
  ServiceKey(std::string_view ns, std::string_view name) {
    if (ns.size() + 1 + name.size() > text_.size()) return;
    char* end = std::copy(ns.begin(), ns.end(), text_.data());
    *end++ = '/';
    end = std::copy(name.begin(), name.end(), end);
    size_ = static_cast<uint8_t>(end - text_.data());
  }
  explicit ServiceKey(const ObjectName& name) : ServiceKey(name.ns, name.name) {}

  std::string_view view() const { return {text_.data(), size_}; }

  friend bool operator==(const ServiceKey& a, const ServiceKey& b) { return a.view() == b.view(); }
  template <typename H>
  friend H AbslHashValue(H h, const ServiceKey& key) {
    return H::combine_contiguous(std::move(h), key.text_.data(), key.size_);
  }

 private:
  static constexpr size_t kMaxLabelBytes = 63;

  std::array<char, 2 * kMaxLabelBytes + 1> text_;
  uint8_t size_ = 0;
};

}  // namespace portolan
