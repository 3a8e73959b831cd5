// A client of either protocol that asks, accepts, refuses and forgets in any order while the
// cluster changes. The first byte chooses the protocol, the others are steps. Where all that it
// said was well-formed, it has in the end, once it has accepted everything, what it asked for and
// exists, and nothing else. Requests of any bytes are refused or taken; none of them makes a
// session grow beyond its bounds or talk without end.
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "xds/api/policy_codec.h"
#include "xds/serving/delta_session.h"
#include "xds/serving/resource_cache.h"
#include "xds/serving/state_session.h"

namespace portolan::xds {
namespace {

using DeltaResponse = envoy::service::discovery::v3::DeltaDiscoveryResponse;
using StateResponse = envoy::service::discovery::v3::DiscoveryResponse;

void Require(bool holds) {
  if (!holds) std::abort();
}

class Steps {
 public:
  Steps(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    const uint8_t byte = rest_.empty() ? 0 : static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(rest_.empty() ? 0 : 1);
    return byte;
  }
  std::string_view Bytes() {
    const std::string_view bytes = rest_.substr(0, Byte());
    rest_.remove_prefix(std::min(rest_.size(), bytes.size()));
    return bytes;
  }

 private:
  std::string_view rest_;
};

grpc::ByteBuffer Buffer(std::string_view bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

template <typename Message>
Message Parsed(grpc::ByteBuffer bytes) {
  Message message;
  grpc::ProtoBufferReader reader(&bytes);
  Require(message.ParseFromZeroCopyStream(&reader));
  return message;
}

// Pods that a policy names as peers, by the number of their label.
PeerSelector PeersLabelled(const std::string& number) {
  return {{"default", {}, {{{"n", number}}, {}}}, "", Protocol::kTcp};
}

// Two Services that come, go and change, and two policies with the pods that they admit.
class World {
 public:
  World() { set_ = cache_.current(); }

  ResourceCache::Published Change(uint8_t what) {
    const std::string name(1, what & 1 ? 'a' : 'b');
    if (what & 2) {
      Service service;
      service.name = {"default", name};
      service.cluster_ips = {*IpAddress::Parse(what & 1 ? "10.43.0.1" : "10.43.0.2")};
      service.ports = {{what & 4 ? "http" : "grpc", Protocol::kTcp, 80}};
      if (what & 8) service.type = ServiceType::kExternalName;
      directory_.Put(service);
    } else if (what & 4) {
      directory_.RemoveService({"default", name});
    } else if (what & 8) {
      directory_.RemoveSlice({"default", name + "-1"});
    } else {
      EndpointSlice slice;
      slice.name = {"default", name + "-1"};
      slice.service = name;
      slice.ports = {{"http", Protocol::kTcp, 80}};
      Endpoint& endpoint = slice.endpoints.emplace_back();
      endpoint.addresses = {*IpAddress::Parse("10.42.0." + std::to_string(what >> 4))};
      directory_.Put(slice);
    }
    return Publish();
  }

  ResourceCache::Published ChangePolicies(uint8_t what) {
    const std::string name(1, what & 1 ? 'a' : 'b');
    if (what & 2) {
      NetworkPolicy policy;
      policy.name = {"default", name};
      policy.for_egress = true;
      NetworkPolicyPeer& peer = policy.egress.emplace_back().peers.emplace_back();
      peer.pods.emplace().match_labels = {{"n", what & 1 ? "0" : "1"}};
      if (what & 4) {
        directory_.Put(policy);
      } else {
        directory_.RemoveNetworkPolicy(policy.name);
      }
      return Publish();
    }
    const std::string number = std::to_string(what >> 3);
    Pod pod;
    pod.name = {"default", number};
    pod.labels = {{"n", what & 1 ? "0" : "1"}};
    pod.ips = {*IpAddress::Parse("10.44.0." + number)};
    if (what & 4) {
      directory_.Put(pod);
    } else {
      directory_.RemovePod(pod.name);
    }
    return Publish();
  }

  const std::shared_ptr<const ResourceSet>& set() const { return set_; }

 private:
  ResourceCache::Published Publish() {
    auto published = cache_.Update(directory_.Commit());
    set_ = published.set;
    return published;
  }

  Directory directory_;
  ResourceCache cache_;
  std::shared_ptr<const ResourceSet> set_;
};

constexpr std::array<ResourceType, 8> kTypes = {
    ResourceType::kService,  ResourceType::kEndpoints,      ResourceType::kPeerSet,
    ResourceType::kCluster,  ResourceType::kLoadAssignment, ResourceType::kPolicyRules,
    ResourceType::kListener, ResourceType::kRoute};

std::string NameFor(ResourceType type, uint8_t which) {
  if (which % 8 == 7) return "*";
  const std::string name(1, which & 1 ? 'a' : 'b');
  if (type == ResourceType::kPeerSet) return PeersLabelled(which & 1 ? "0" : "1").SetName();
  if (type == ResourceType::kPolicyRules) return "NetworkPolicy/default/" + name;
  if (!IsEnvoyType(type)) {
    if (which % 8 == 6) return "default/none";
    return "default/" + name + (type == ResourceType::kEndpoints && (which & 2) ? "/x-1" : "");
  }
  if (which % 8 == 6) return "10.43.0.1:80";
  return name + ".default.svc.cluster.local:" + (which & 2 ? "http" : "80");
}

// What a client of one type believes.
struct Belief {
  bool asked = false;
  bool named = false;
  bool wildcard = false;
  std::set<std::string> names;
  std::map<std::string, std::string> held;      // delta: version; state of the world: bytes
  std::map<std::string, std::set<Peer>> peers;  // of sets of peers, what is in them
  std::string nonce;
};

class Client {
 public:
  explicit Client(World& world) : world_(world) {}
  virtual ~Client() = default;

  virtual Session& session() = 0;
  virtual void Ask(ResourceType type, Steps& steps) = 0;
  // False: nothing more to read.
  virtual bool Read() = 0;
  virtual void Accept(ResourceType type) = 0;
  virtual std::string Expected(const Resource& resource) const = 0;
  virtual bool SaysWhatIsGone(ResourceType type) const = 0;

  // Accepts until there is nothing more, which comes soon.
  void Settle() {
    for (int i = 0; i < 200; ++i) {
      const bool more = Read();
      for (const ResourceType type : kTypes) {
        if (beliefs_[type].asked) Accept(type);
      }
      if (!more && !Read()) return Check();
    }
    Require(false);
  }

 protected:
  void Check() {
    for (auto& [type, belief] : beliefs_) {
      std::set<std::string> wanted = belief.names;
      if (belief.wildcard) {
        world_.set()->ForEach(type, Viewer(), [&](const std::string& name, const ResourcePtr&) {
          wanted.insert(name);
        });
      }
      for (const std::string& name : wanted) {
        const ResourcePtr resource = world_.set()->Find(type, name, Viewer());
        const auto held = belief.held.find(name);
        if (resource != nullptr) {
          Require(held != belief.held.end() && held->second == Expected(*resource));
          if (type == ResourceType::kPeerSet) {
            const Peers peers = world_.set()->FindPeers(name)->Members();
            Require(belief.peers[name] == std::set<Peer>(peers.begin(), peers.end()));
          }
        } else if (SaysWhatIsGone(type)) {
          Require(held == belief.held.end());
        }
      }
    }
  }

  World& world_;
  std::map<ResourceType, Belief> beliefs_;
};

class DeltaClient : public Client {
 public:
  explicit DeltaClient(World& world) : Client(world), session_({world.set(), "peer", "fuzz"}) {}
  Session& session() override { return session_; }

  void Ask(ResourceType type, Steps& steps) override {
    Belief& belief = beliefs_[type];
    DeltaSession::Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    const uint8_t shape = steps.Byte();
    for (int i = 0; i < (shape & 3); ++i) {
      const std::string name = NameFor(type, steps.Byte());
      request.add_resource_names_unsubscribe(name);
      Forget(belief, name);
    }
    for (int i = 0; i < (shape >> 2 & 3); ++i) {
      const std::string name = NameFor(type, steps.Byte());
      request.add_resource_names_subscribe(name);
      if (name == "*") {
        belief.wildcard = true;
      } else {
        belief.names.insert(name);
      }
      if ((shape & 64) && belief.held.contains(name)) {
        (*request.mutable_initial_resource_versions())[name] = belief.held[name];
      }
    }
    if (!belief.asked && (shape & 15) == 0) belief.wildcard = true;
    belief.asked = true;
    if (shape & 16) request.mutable_error_detail()->set_message("no");
    request.set_response_nonce(shape & 32 ? belief.nonce : "17");
    Require(session_.OnRequest(Buffer(request.SerializeAsString())).ok());
  }

  bool Read() override {
    const auto bytes = session_.NextResponse();
    if (!bytes.has_value()) return false;
    const auto response = Parsed<DeltaResponse>(*bytes);
    const auto type = ResourceTypeOf(response.type_url());
    if (!type.has_value()) return true;
    Belief& belief = beliefs_[*type];
    belief.nonce = response.nonce();
    for (const auto& resource : response.resources()) {
      if (type == ResourceType::kPeerSet) TakePeers(resource, belief);
      belief.held[resource.name()] = resource.version();
    }
    for (const std::string& name : response.removed_resources()) belief.held.erase(name);
    return true;
  }

  void Accept(ResourceType type) override {
    DeltaSession::Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    request.set_response_nonce(beliefs_[type].nonce);
    Require(session_.OnRequest(Buffer(request.SerializeAsString())).ok());
  }

  std::string Expected(const Resource& resource) const override { return resource.version; }
  bool SaysWhatIsGone(ResourceType) const override { return true; }

 private:
  // A difference is one from what it has.
  static void TakePeers(const envoy::service::discovery::v3::Resource& resource, Belief& belief) {
    const auto set = api::ParsePeerSet(resource);
    Require(set.ok());
    std::set<Peer>& peers = belief.peers[resource.name()];
    if (set->is_whole()) {
      peers.clear();
    } else {
      Require(belief.held[resource.name()] == set->base);
    }
    for (const Peer& peer : set->added) Require(peers.insert(peer).second);
    for (const Peer& peer : set->removed) Require(peers.erase(peer) == 1);
  }

  static void Forget(Belief& belief, const std::string& name) {
    if (name == "*") {
      belief.wildcard = false;
      std::erase_if(belief.held,
                    [&](const auto& one) { return !belief.names.contains(one.first); });
    } else {
      belief.names.erase(name);
      belief.held.erase(name);
    }
  }

  DeltaSession session_;
};

class StateClient : public Client {
 public:
  explicit StateClient(World& world) : Client(world), session_({world.set(), "peer", "fuzz"}) {}
  Session& session() override { return session_; }

  void Ask(ResourceType type, Steps& steps) override {
    if (!IsEnvoyType(type)) return;
    Belief& belief = beliefs_[type];
    const uint8_t shape = steps.Byte();
    std::set<std::string> names;
    for (int i = 0; i < (shape & 3); ++i) names.insert(NameFor(type, steps.Byte()));
    const bool stale = (shape & 32) && !belief.nonce.empty();
    Send(type, names, stale ? "17" : belief.nonce, shape & 16);
    if (!stale) Follow(type, names, belief);
  }

  bool Read() override {
    const auto bytes = session_.NextResponse();
    if (!bytes.has_value()) return false;
    const auto response = Parsed<StateResponse>(*bytes);
    const auto type = ResourceTypeOf(response.type_url());
    if (!type.has_value()) return true;
    Belief& belief = beliefs_[*type];
    belief.nonce = response.nonce();
    if (SaysWhatIsGone(*type)) belief.held.clear();
    for (const auto& resource : response.resources()) {
      google::protobuf::StringValue name;  // each begins with its name
      Require(name.ParseFromString(resource.value()));
      belief.held[name.value()] = resource.value();
    }
    return true;
  }

  void Accept(ResourceType type) override {
    Belief& belief = beliefs_[type];
    std::set<std::string> names = belief.names;
    if (belief.wildcard && (belief.named || !names.empty())) names.insert("*");
    Send(type, names, belief.nonce, false);
  }

  std::string Expected(const Resource& resource) const override {
    const grpc::Slice field = StateField(resource);
    StateResponse response;
    Require(response.ParseFromArray(field.begin(), static_cast<int>(field.size())));
    return response.resources(0).value();
  }
  bool SaysWhatIsGone(ResourceType type) const override {
    return type == ResourceType::kCluster || type == ResourceType::kListener;
  }

 private:
  void Send(ResourceType type, const std::set<std::string>& names, const std::string& nonce,
            bool refuses) {
    StateSession::Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    for (const std::string& name : names) request.add_resource_names(name);
    request.set_response_nonce(nonce);
    if (refuses) request.mutable_error_detail()->set_message("no");
    Require(session_.OnRequest(Buffer(request.SerializeAsString())).ok());
  }

  void Follow(ResourceType type, std::set<std::string> names, Belief& belief) {
    belief.asked = true;
    const bool empty = names.empty();
    belief.wildcard = names.erase("*") > 0 || (empty && !belief.named && SaysWhatIsGone(type));
    belief.named = belief.named || !empty;
    belief.names = std::move(names);
    // What is not wanted any more is forgotten, and comes anew where it is wanted again.
    std::erase_if(belief.held, [&](const auto& one) {
      return !belief.wildcard && !belief.names.contains(one.first);
    });
  }

  StateSession session_;
};

void Run(Client& client, World& world, Steps& steps) {
  bool well_formed = true;
  while (!steps.empty()) {
    const uint8_t step = steps.Byte();
    const ResourceType type = kTypes[(step >> 3) % kTypes.size()];
    switch (step & 7) {
      case 0:
        well_formed = false;
        if (!client.session().OnRequest(Buffer(steps.Bytes())).ok()) return;
        break;
      case 1:
      case 2:
        client.Ask(type, steps);
        break;
      case 3:
      case 4:
        client.Read();
        break;
      case 5:
        client.session().OnPublish(world.ChangePolicies(steps.Byte()));
        break;
      default:
        client.session().OnPublish(world.Change(steps.Byte()));
    }
    const ClientStatus status = client.session().Status(8);
    Require(status.types.size() <= Session::kMaxTypes);
  }
  if (well_formed) client.Settle();
}

}  // namespace
}  // namespace portolan::xds

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace portolan::xds;
  if (size == 0) return 0;
  World world;
  Steps steps(data + 1, size - 1);
  if (data[0] & 1) {
    DeltaClient client(world);
    Run(client, world, steps);
  } else {
    StateClient client(world);
    Run(client, world, steps);
  }
  return 0;
}
