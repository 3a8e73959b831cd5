// The other replicas of the control plane, which know what this one does not: the sidecars that are
// connected to them, and what those reported.
//
//   replicas.Ask(request.target, [](std::vector<ReplicaAnswer> answers) { ... });
//
// The loop's thread only.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan::xds {

struct ReplicaAnswer {
  // As the replica calls itself; of one that has never answered, its address.
  std::string name;
  // The JSON object that it answered with 200. Else why there is none, in words for a page, those
  // of its own {"error"} where it has some: kNotFound for a 404; kFailedPrecondition for a 502,
  // which says that the sidecar it asked refused; kDeadlineExceeded for a 504, or it did not answer
  // in time itself; kUnavailable: it could not be asked, or what it said is of no use.
  absl::StatusOr<nlohmann::json> answer;
};

class Replicas {
 public:
  // With what a replica knows itself.
  static constexpr absl::Duration kPatience = absl::Seconds(1);
  // Where it asks a sidecar, which it gives 2 s (Sidecars::Options::patience).
  static constexpr absl::Duration kSidecarPatience = absl::Milliseconds(2500);
  using Done = std::function<void(std::vector<ReplicaAnswer>)>;

  virtual ~Replicas() = default;

  // What this replica is called: its pod's name.
  virtual const std::string& self() const = 0;

  // GET of `target`, path and query as in a request line, at every other replica at once;
  // "scope=local" is added. Calls `done` once, within `patience`, perhaps before it returns (where
  // there is no other replica), with one answer of each, by name.
  virtual void Ask(std::string target, absl::Duration patience, Done done) = 0;
  // The same with POST, for what only the replica that a sidecar is connected to can do.
  virtual void Post(std::string target, absl::Duration patience, Done done) = 0;
};

// A control plane that is alone.
class NoReplicas : public Replicas {
 public:
  explicit NoReplicas(std::string self) : self_(std::move(self)) {}
  const std::string& self() const override { return self_; }
  void Ask(std::string, absl::Duration, Done done) override { done({}); }
  void Post(std::string, absl::Duration, Done done) override { done({}); }

 private:
  const std::string self_;
};

// The list "replicas" of an answer that is made of what all of them have: this one, then the
// others.
nlohmann::json ReplicasJson(const std::string& self, const std::vector<ReplicaAnswer>& answers);

}  // namespace portolan::xds
