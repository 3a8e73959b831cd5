// From policies as values to messages; the way back, with all its checks, is in policy_codec.cc.
#include <map>
#include <string>

#include "xds/api/checked_fields.h"
#include "xds/api/policy_codec.h"

namespace portolan::api {
namespace {

void SetBlock(const Cidr& block, auto& to) {
  SetBytes(block.base, *to.mutable_address());
  to.set_prefix(block.prefix_bits);
}

void Fill(const RuleInput& from, v1::PolicyRule& to) {
  to.set_index(from.index);
  to.set_any_peer(from.any_peer);
  for (const std::string& set : from.peer_sets) to.add_peer_sets(set);
  for (const IpBlock& block : from.blocks) {
    v1::PolicyBlock& added = *to.add_blocks();
    SetBlock(block.cidr, added);
    for (const Cidr& hole : block.except) SetBlock(hole, *added.add_except());
  }
  for (const NamePattern& name : from.names) to.add_names(name.ToString());
  for (const PortInput& port : from.ports) {
    v1::PolicyPort& added = *to.add_ports();
    added.set_protocol(ToProto(port.protocol));
    added.set_port(port.port);
    added.set_end_port(port.end_port);
    added.set_name(port.name);
  }
}

void AddGroups(const Peers& peers, google::protobuf::RepeatedPtrField<v1::PeerGroup>& to) {
  std::map<uint16_t, v1::PeerGroup*> groups;
  for (const Peer& peer : peers) groups.emplace(peer.port, nullptr);
  for (auto& [port, group] : groups) {
    group = to.Add();
    group->set_port(port);
  }
  for (const Peer& peer : peers) {
    v1::PeerGroup& group = *groups[peer.port];
    const auto bytes = peer.ip.bytes();
    (peer.ip.is_v4() ? group.mutable_v4() : group.mutable_v6())
        ->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

}  // namespace

v1::EgressPolicy ToProto(const EgressPolicy& policy) {
  v1::EgressPolicy proto;
  for (const std::string& name : policy.policies) proto.add_policies(name);
  for (const IpAddress& address : policy.node_addresses) {
    SetBytes(address, *proto.add_node_addresses());
  }
  for (const std::string& name : policy.ingress) proto.add_ingress(name);
  for (const ContainerPort& port : policy.ports) {
    v1::NamedPort& added = *proto.add_ports();
    added.set_name(port.name);
    added.set_protocol(ToProto(port.protocol));
    added.set_port(port.port);
  }
  return proto;
}

v1::PolicyRules ToProto(const PolicyInput& policy) {
  v1::PolicyRules proto;
  proto.set_isolates(policy.isolates);
  proto.set_isolates_names(policy.isolates_names);
  proto.set_audit(policy.audit);
  for (const RuleInput& rule : policy.rules) Fill(rule, *proto.add_rules());
  return proto;
}

v1::PeerSet ToProto(const PeerSet& set) {
  v1::PeerSet proto = ToProto(set.describes, set.added);
  proto.set_base(set.base);
  AddGroups(set.removed, *proto.mutable_removed());
  return proto;
}

v1::PeerSet ToProto(std::string_view describes, const Peers& peers) {
  v1::PeerSet proto;
  proto.set_describes(std::string(describes.substr(0, kMaxDescribesBytes)));
  AddGroups(peers, *proto.mutable_added());
  return proto;
}

}  // namespace portolan::api
