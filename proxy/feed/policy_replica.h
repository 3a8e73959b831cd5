// The sidecar's copy of its own egress policy: the EgressPolicy of the pod, the PolicyRules that it
// names and the PeerSets that those refer to; and the rules made of them that are in force.
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
#include "proxy/feed/wanted_names.h"
#include "proxy/policy/egress_rules.h"
#include "proxy/policy/policy_compiler.h"
#include "xds/api/policy_codec.h"

namespace portolan::proxy {

class PolicyReplica {
 public:
  struct Own {
    std::string name;                  // NAMESPACE/POD; another: no policy is asked for
    std::vector<IpAddress> addresses;  // always allowed
  };
  explicit PolicyReplica(Own own);

  // A response of one of the three types. An error names the resource and the field, and then
  // nothing of the response was applied.
  absl::Status Apply(const envoy::service::discovery::v3::DeltaDiscoveryResponse& response);

  // In force. Null: no policy is known yet, nor that there is none. Another object at every change.
  const std::shared_ptr<const EgressRules>& rules() const { return rules_; }
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
  struct InForce {
    std::shared_ptr<const api::EgressPolicy> head;  // null: there is none
    std::vector<std::shared_ptr<const PolicyInput>> policies;
    StringSet sets;  // that those refer to
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

  const Own own_;
  std::array<WantedNames, kTypeCount> wanted_;

  // Whether there is an EgressPolicy has been told.
  bool is_told_ = false;
  std::optional<Held<api::EgressPolicy>> head_;
  StringMap<Held<PolicyInput>> policies_;
  StringMap<HeldSet> sets_;

  bool is_whole_ = false;
  std::optional<InForce> in_force_;
  PolicyCompiler compiler_;
  std::shared_ptr<const EgressRules> rules_;
};

}  // namespace portolan::proxy
