// The objects of one kind in a cluster, kept in the directory as the API server has them.
//
// An object that is not valid for us keeps its last good state, is counted, and named in the log
// once for each resourceVersion. What a new list lacks is removed when the list is complete, unless
// something in it could not be read. On the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/kubernetes/reflector.h"
#include "common/string_map.h"
#include "directory/directory.h"
#include "xds/sources/objects.h"

namespace portolan::xds {

// Told of each object of a kind that comes or changes, be it of no use to us (`errors` says why),
// and of each that goes. `key` is "namespace/name", or the name. On the loop's thread.
class ObjectObserver {
 public:
  virtual ~ObjectObserver() = default;
  virtual void OnRead(const Field& object, const FieldErrors& errors) = 0;
  virtual void OnGone(std::string_view key) = 0;
};

class FollowedKind : private Reflector::Listener {
 public:
  // on_change: `directory` may hold changes to commit; also when `known` comes true. `observer`, if
  // there is one, outlives it.
  FollowedKind(EventLoop& loop, ApiClient& client, ApiResource resource, KnownKind kind,
               Directory& directory, Reflector::Options options, std::function<void()> on_change,
               ObjectObserver* observer = nullptr);

  void Start() { reflector_.Start(); }

  // All of them were read once, or there are none to read.
  bool known() const { return known_; }

  const Reflector& reflector() const { return reflector_; }
  size_t objects() const { return held_.size(); }
  // Held by the API server in a form that is no use to us.
  size_t invalid() const { return invalid_; }

 private:
  struct Held {
    uint64_t version = 0;  // hash of its resourceVersion
    uint32_t list = 0;     // the last that it was in
    bool valid = true;
  };

  void OnListing(Compare compare) override;
  void OnObject(const Value& value, absl::Time arrived) override;
  void OnDeleted(const Value& value) override;
  void OnUnreadable(std::string_view name) override;
  void OnListed() override;
  void OnAbsent() override;

  void Put(const ObjectName& name, std::vector<Object> objects);
  void Invalid(const std::string& key, const std::string& version, const FieldErrors& errors);
  void SetValid(Held& held, bool valid);
  std::string KeyOf(const ObjectName& name) const;
  // What an object of this name may be to the directory.
  std::vector<ObjectId> IdsOf(std::string_view key) const;
  void Forget(std::string_view key);
  void Known();

  Directory& directory_;
  const KnownKind kind_;
  const std::function<void()> on_change_;
  ObjectObserver* const observer_;
  StringMap<Held> held_;  // by "namespace/name", or name
  size_t invalid_ = 0;
  int logged_ = 0;
  bool known_ = false;

  // The list that is under way, or was the last.
  uint32_t list_ = 0;
  bool listing_ = false;
  bool whole_ = true;  // nothing in it was unreadable without our knowing which object it was
  Compare compare_ = Compare::kByContent;

  Reflector reflector_;
};

}  // namespace portolan::xds
