// The sidecar's copy of its own policy: the EgressPolicy of the pod, the PolicyRules that it names
// and the PeerSets that those refer to; and the rules made of them that are in force, those of
// egress and, for a sidecar that enforces them, those of ingress.
//
// What is held is put in force once all that the EgressPolicy leads to is held. Until then the
// rules that were in force stay, with the peers they have by now: members of a set come and go at
// once. What the control plane takes away that is still in force is kept as long as it is.
//
// A response is applied whole or not at all. A PeerSet that comes as a difference is applied only
// onto the version that it is the difference from; else it is asked for whole.
//
// One thread; an Image may be read on any.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "common/string_map.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "policy/egress_rules.h"
#include "policy/policy_compiler.h"
#include "proxy/feed/wanted_names.h"
#include "xds/api/policy_codec.h"

namespace portolan::proxy {

class PolicyReplica {
 public:
  struct Own {
    std::string name;                  // NAMESPACE/POD; another: no policy is asked for
    std::vector<IpAddress> addresses;  // always allowed
    bool ingress = false;              // who may connect to the pod is enforced
  };
  explicit PolicyReplica(Own own);

  // A response of one of the three types. An error names the resource and the field, and then
  // nothing of the response was applied.
  absl::Status Apply(const envoy::service::discovery::v3::DeltaDiscoveryResponse& response);

  // In force. Null: no policy is known yet, nor that there is none. Another object at every change.
  const std::shared_ptr<const EgressRules>& rules() const { return egress_.rules; }
  // The same of who may connect to the pod: Judge({source address, own port}, protocol). Known when
  // rules() is, and always null if ingress is not enforced.
  const std::shared_ptr<const EgressRules>& ingress_rules() const { return ingress_.rules; }
  // Something that the EgressPolicy leads to is not held, so that what is in force is older.
  bool in_transit() const { return is_told_ && !is_whole_; }

  // Subscriptions by name: all, and what changed since this was last asked or a stream began.
  void BeginStream();
  void ForEachWanted(std::string_view type_url,
                     absl::FunctionRef<void(const std::string&)> visit) const;
  WantedNames::Asked TakeAsked(std::string_view type_url);
  // Some of it was refused on this stream and has not come again.
  bool lacks_any(std::string_view type_url) const;

  size_t held_count(std::string_view type_url) const;
  // visit(name, version); a version is empty where it is not known to be what the server has.
  void ForEachHeld(std::string_view type_url,
                   absl::FunctionRef<void(const std::string&, const std::string&)> visit) const;

  // What is in force, shared and not copied. Versions are empty of what is held in another.
  template <typename T>
  struct Versioned {
    std::string name;
    std::string version;
    T value;
  };
  struct Image {
    // Nothing: not known. That there is none is an EgressPolicy without policies.
    std::optional<Versioned<std::shared_ptr<const api::EgressPolicy>>> head;
    std::vector<Versioned<std::shared_ptr<const PolicyInput>>> policies;
    struct Set {
      std::string describes;
      std::shared_ptr<const Peers> peers;
    };
    std::vector<Versioned<Set>> sets;
  };
  Image image() const;

 private:
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;
  template <typename T>
  struct Held {
    std::shared_ptr<const T> value;
    std::string version;
  };
  struct HeldSet {
    std::string describes;
    std::shared_ptr<const Peers> peers;
    std::string version;
    bool withdrawn = false;  // by the server, but in force
  };
  // What is in force of egress or of ingress.
  struct Direction {
    struct Inputs {
      std::vector<std::shared_ptr<const PolicyInput>> policies;
      std::vector<IpAddress> always_allowed;
      std::vector<ContainerPort> ports;  // that rules name
      friend bool operator==(const Inputs&, const Inputs&) = default;
    };
    std::optional<Inputs> inputs;  // nothing: none is known
    StringSet sets;                // that those refer to
    PolicyCompiler compiler;
    std::shared_ptr<const EgressRules> rules;
  };
  enum Type : size_t { kHead, kPolicies, kSets, kTypeCount };

  static Type TypeOf(std::string_view type_url);

  absl::Status ApplyHead(const Response& response);
  absl::Status ApplyPolicies(const Response& response);
  absl::Status ApplySets(const Response& response);
  absl::Status ReadChange(const HeldSet* held, const api::PeerSet& change, HeldSet& next) const;
  void PutSet(const std::string& name, const api::PeerSet& change, HeldSet next);
  void RemoveSet(const std::string& name);

  bool IsInForce(std::string_view set) const;
  bool HasSetsOf(const PolicyInput& policy) const;
  bool IsWhole() const;
  void Settle();
  void PutInForce();
  void PutInForce(const std::vector<std::string>& policies, Direction::Inputs inputs,
                  Direction& direction);
  StringSet SetsInForce() const;

  const Own own_;
  std::array<WantedNames, kTypeCount> wanted_;

  // Whether there is an EgressPolicy has been told.
  bool is_told_ = false;
  std::optional<Held<api::EgressPolicy>> head_;
  StringMap<Held<PolicyInput>> policies_;
  StringMap<HeldSet> sets_;

  bool is_whole_ = false;
  // In force; null in it: there is none. Nothing: none is known.
  std::optional<std::shared_ptr<const api::EgressPolicy>> head_in_force_;
  Direction egress_, ingress_;
};

}  // namespace portolan::proxy
