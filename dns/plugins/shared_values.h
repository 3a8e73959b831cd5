// One copy of what thousands of Services have alike: their ports, say.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

namespace portolan::dns {

// Makes equal values one, as far as it remembers: the last 64. One thread.
template <typename T>
class SharedValues {
 public:
  std::shared_ptr<const T> Share(T value) {
    for (const auto& known : recent_) {
      if (known != nullptr && *known == value) return known;
    }
    auto& place = recent_[next_++ % recent_.size()];
    place = std::make_shared<const T>(std::move(value));
    return place;
  }

 private:
  std::array<std::shared_ptr<const T>, 64> recent_;
  size_t next_ = 0;
};

}  // namespace portolan::dns
