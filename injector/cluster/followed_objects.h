// One value of each object of a kind, by "namespace/name" or name, kept as the API server has them.
// What a new list lacks is forgotten when that list is complete, unless something in it could not
// be read. An API server that is away changes nothing.
//
// On the loop's thread. The Reflector has the rest: common/kubernetes/reflector.h.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "common/kubernetes/reflector.h"
#include "common/string_map.h"

namespace portolan::injector {

// "namespace/name"; the name alone of what has no namespace.
inline std::string NameOf(const Field& object) {
  const Field metadata = object["metadata"];
  const Field name = metadata["name"];
  const Field name_space = metadata["namespace"];
  const std::string place = name_space.String();
  return place.empty() ? name.String() : place + "/" + name.String();
}

template <typename T>
class FollowedObjects : private Reflector::Listener {
 public:
  // What of an object counts. Called on the loop; what it finds wrong it leaves out.
  using Read = std::function<T(const Field& object)>;

  // on_change: a value came, went or is another, or `known` came true.
  FollowedObjects(EventLoop& loop, ApiClient& client, ApiResource resource, Read read,
                  std::function<void()> on_change)
      : read_(std::move(read)),
        on_change_(std::move(on_change)),
        reflector_(loop, client, std::move(resource), *this, {}) {}

  void Start() { reflector_.Start(); }

  // All of them were read once, or the server has no such resource.
  bool known() const { return known_; }
  const Reflector& reflector() const { return reflector_; }
  size_t size() const { return held_.size(); }

  // What was just written: counts until the server says something else.
  void Expect(std::string name, T value) { held_[std::move(name)] = {std::move(value), list_}; }

  // visit(const std::string& name, const T& value)
  template <typename F>
  void ForEach(F&& visit) const {
    for (const auto& [name, held] : held_) visit(name, held.value);
  }
  // Null where there is none. Valid until the next event.
  const T* Find(std::string_view name) const {
    const auto found = held_.find(name);
    return found == held_.end() ? nullptr : &found->second.value;
  }

 private:
  struct Held {
    T value;
    uint32_t list;  // the last that it was in
  };

  void OnListing(Compare) override {
    ++list_;
    listing_ = whole_ = true;
  }
  void OnObject(const Value& value, absl::Time) override {
    FieldErrors errors;
    const Field object(value, errors);
    std::string name = NameOf(object);
    if (name.empty()) return;
    T read = read_(object);
    const auto [at, added] = held_.try_emplace(std::move(name), Held{read, list_});
    const bool same = !added && at->second.value == read;
    at->second = {std::move(read), list_};
    if (!same) on_change_();
  }
  void OnDeleted(const Value& value) override {
    FieldErrors errors;
    const Field object(value, errors);
    if (held_.erase(NameOf(object)) > 0) on_change_();
  }
  void OnUnreadable(std::string_view name) override {
    const auto found = held_.find(name);
    if (found != held_.end()) {
      found->second.list = list_;
    } else if (listing_) {
      whole_ = false;
    }
  }
  void OnListed() override {
    listing_ = false;
    if (whole_) absl::erase_if(held_, [&](const auto& each) { return each.second.list != list_; });
    known_ = true;
    on_change_();
  }
  void OnAbsent() override {
    held_.clear();
    known_ = true;
    on_change_();
  }

  const Read read_;
  const std::function<void()> on_change_;
  StringMap<Held> held_;
  uint32_t list_ = 0;
  bool listing_ = false;
  bool whole_ = true;  // nothing in the list was unreadable without our knowing what it was
  bool known_ = false;
  Reflector reflector_;
};

}  // namespace portolan::injector
