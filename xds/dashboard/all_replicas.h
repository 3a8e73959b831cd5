// One question of a client put to all replicas: what each answers for itself alone is merged by the
// page that asks.
//
// A request with scope=local is what a replica asks another: it is answered by this one alone. The
// loop's thread only.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/http/message.h"
#include "xds/dashboard/replicas.h"

namespace portolan::xds {

class AllReplicas {
 public:
  using Done = std::function<void(std::vector<ReplicaAnswer> others)>;

  // Null: there are no others. `replicas` outlives it.
  AllReplicas(Replicas* replicas, const std::string& self)
      : replicas_(replicas), self_(replicas == nullptr ? self : replicas->self()) {}

  // The other replicas' answers to `request`; none with scope=local. `done` is called once, before
  // it returns or later on the loop, within `patience`.
  void Ask(const http::Request& request, Done done) const {
    Ask(request, Replicas::kPatience, std::move(done));
  }
  void Ask(const http::Request& request, absl::Duration patience, Done done) const;

  const std::string& self() const { return self_; }
  nlohmann::json List(const std::vector<ReplicaAnswer>& others) const {
    return ReplicasJson(self_, others);
  }

 private:
  Replicas* const replicas_;
  const std::string self_;
};

// The path and query that lead to what `request` is for.
std::string TargetOf(const http::Request& request);

// The objects in the list `key` of each answer that has one; those of other replicas are not
// believed to have anything else.
std::vector<nlohmann::json> ListsOf(const std::vector<ReplicaAnswer>& others, const char* key);

// Of an object of another replica; 0 for what is not there, or is of another kind.
uint64_t NumberIn(const nlohmann::json& object, const char* key);

}  // namespace portolan::xds
