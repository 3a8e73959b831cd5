// Objects of one kind in chunks, used again and again: no heap allocation for an object once as
// many have been in use before. Chunks are kept until the slab ends. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace portolan::proxy {

// T is default-constructible and move-assignable; the default value stands for one not in use.
template <typename T>
class Slab {
 public:
  // Stays where it is until Release.
  T& Take() {
    if (free_.empty()) Grow();
    T* object = free_.back();
    free_.pop_back();
    return *object;
  }

  // REQUIRES: `object` came from Take and was not released since.
  void Release(T& object) {
    object = T();
    free_.push_back(&object);  // within the capacity that Grow reserved
  }

  size_t in_use() const { return chunks_.size() * kChunk - free_.size(); }

  // visit(T&) for each object, in use or not. It may release the one it is given.
  template <typename F>
  void ForEach(F&& visit) {
    for (const auto& chunk : chunks_) {
      for (T& object : *chunk) visit(object);
    }
  }

 private:
  static constexpr size_t kChunk = 64;
  using Chunk = std::array<T, kChunk>;

  void Grow() {
    chunks_.push_back(std::make_unique<Chunk>());
    free_.reserve(chunks_.size() * kChunk);
    for (T& object : *chunks_.back()) free_.push_back(&object);
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<T*> free_;
};

}  // namespace portolan::proxy
