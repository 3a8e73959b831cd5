// What policies cost the control plane's loop: 100,000 pods in 20 namespaces and 1,000 policies,
// once as they usually are, once each with a set of 5,000 peers of its own. Memory, the median and
// worst time of what changes, what the largest of policies takes, and what one pod more costs each
// of 1,000 sidecars.
//
// The index is fed by itself; nothing else of a commit is in the times.
#include <fmt/format.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/monotonic.h"
#include "directory/directory.h"
#include "tests/xds/policy/cluster.h"
#include "xds/policy/policy_index.h"
#include "xds/serving/delta_session.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {
namespace {

constexpr int kNamespaces = 20;
constexpr int kPodsOfNamespace = 5'000;
constexpr int kPoliciesOfNamespace = 50;
constexpr int kSidecars = 1'000;
constexpr int kRounds = 201;
constexpr size_t kMostBytes = 200;  // one pod more in a set of 5,000, issue 8

enum class Kind { kUsual, kOwnSets };

std::string NamespaceName(int ns) { return fmt::format("team-{}", ns); }
std::string App(int number) { return fmt::format("app-{}", number % kPoliciesOfNamespace); }

// As a Deployment makes them.
Pod NumberedPod(int ns, int number) {
  const std::string app = App(number);
  Pod pod = MakePod(NamespaceName(ns), fmt::format("{}-6c9d7f5b84-{:05x}", app, number),
                    {{"app.kubernetes.io/name", app},
                     {"app.kubernetes.io/part-of", "shop"},
                     {"pod-template-hash", "6c9d7f5b84"},
                     {"version", "v1"}},
                    {fmt::format("10.{}.{}.{}", ns, number >> 8, number & 255)});
  pod.node_name = fmt::format("node-{}", number % 500);
  return pod;
}

// Its own namespace, one application of it, and those of a team; or all pods of another namespace
// but one application, which no other policy says.
NetworkPolicy NumberedPolicy(int ns, int number, Kind kind) {
  const LabelMap app = {{"app.kubernetes.io/name", App(number)}};
  std::vector<NetworkPolicyPeer> peers;
  if (kind == Kind::kUsual) {
    peers = {PodsWith({{"app.kubernetes.io/name", App(number + 1)}}), PodsWith({}),
             NamespacesWith({{"team", fmt::format("{}", number % 5)}})};
  } else {
    ObjectSelector others;
    others.match_expressions = {{"app.kubernetes.io/name",
                                 LabelRequirement::Operator::kNotIn,
                                 {App(number), fmt::format("never-{}", ns)}}};
    const int next = (ns + 1) % kNamespaces;
    peers = {{others, Labelled({{"kubernetes.io/metadata.name", NamespaceName(next)}}), {}}};
  }
  return MakePolicy(NamespaceName(ns), fmt::format("policy-{}", number), app,
                    {{std::move(peers), {Tcp(8080)}}});
}

void PutCluster(Directory& directory) {
  for (int ns = 0; ns < kNamespaces; ++ns) {
    directory.Put(MakeNamespace(NamespaceName(ns), {{"team", fmt::format("{}", ns % 5)}}));
    for (int i = 0; i < kPodsOfNamespace; ++i) directory.Put(NumberedPod(ns, i));
  }
}

void PutPolicies(Directory& directory, Kind kind) {
  for (int ns = 0; ns < kNamespaces; ++ns) {
    for (int i = 0; i < kPoliciesOfNamespace; ++i) directory.Put(NumberedPolicy(ns, i, kind));
  }
}

double HeldMb() { return static_cast<double>(mallinfo2().uordblks) / 1e6; }

void Print(const char* what, absl::Duration median, absl::Duration most) {
  std::printf("  %-58s %9.3f ms, at most %9.3f\n", what, absl::ToDoubleMilliseconds(median),
              absl::ToDoubleMilliseconds(most));
}
void Print(const char* what, absl::Duration took) {
  std::printf("  %-58s %9.1f ms\n", what, absl::ToDoubleMilliseconds(took));
}

class Bench {
 public:
  explicit Bench(Kind kind) : kind_(kind) {}

  void Run() {
    PutCluster(directory_);
    const double before = HeldMb();
    Print("100,000 pods, no policies", Follow());
    std::printf("  %-58s %9.1f MB\n", "... memory", HeldMb() - before);
    PutPolicies(directory_, kind_);
    Print("1,000 policies at once", Follow());
    const PolicySnapshot& now = *index_.current();
    std::printf("  %-58s %9.1f MB\n",
                fmt::format("... {} sets, {} selected pods: memory with the pods",
                            now.peer_set_count(), now.selected_pod_count())
                    .c_str(),
                HeldMb() - before);

    Measure("a pod comes", [&](int round) { directory_.Put(NumberedPod(0, 10'000 + round)); });
    Measure("a pod goes",
            [&](int round) { directory_.RemovePod(NumberedPod(0, 10'000 + round).name); });
    Measure("a pod is ready, or another annotation",
            [&](int round) { directory_.Put(NumberedPod(0, round)); });
    Measure("a policy gets another rule", [&](int round) {
      NetworkPolicy policy = NumberedPolicy(0, 0, kind_);
      policy.egress[0].ports = {Tcp(static_cast<uint16_t>(round + 1))};
      directory_.Put(policy);
    });
    Measure("a policy for all 5,000 pods of a namespace, on and off", [&](int round) {
      if (round % 2 == 0) {
        directory_.Put(MakePolicy("team-1", "all", {}, {}));
      } else {
        directory_.RemoveNetworkPolicy({"team-1", "all"});
      }
    });
    Measure("a new selector in all namespaces, on and off", [&](int round) {
      if (round % 2 == 0) {
        directory_.Put(MakePolicy("none", "all", {}, {{{PodsIn({{"version", "v1"}}, {})}, {}}}));
      } else {
        directory_.RemoveNetworkPolicy({"none", "all"});
      }
    });
    Measure("a label of a namespace of 5,000 pods", [&](int round) {
      directory_.Put(MakeNamespace("team-2", {{"team", fmt::format("{}", round % 2)}}));
    });
    Again();
  }

 private:
  absl::Duration Follow() {
    const auto committed = directory_.Commit();
    ChangedResources changed;
    const absl::Duration began = Monotonic();
    index_.Follow(committed, changed);
    return Monotonic() - began;
  }

  template <typename F>
  void Measure(const char* what, F&& change) {
    std::vector<absl::Duration> all;
    for (int round = 0; round < kRounds; ++round) {
      change(round);
      all.push_back(Follow());
    }
    std::sort(all.begin(), all.end());
    Print(what, all[kRounds / 2], all.back());
  }

  // As a start that reads policies first and pods in pages.
  void Again() {
    Directory directory;
    PolicyIndex index;
    PutPolicies(directory, kind_);
    absl::Duration took;
    const auto follow = [&] {
      const auto committed = directory.Commit();
      ChangedResources changed;
      const absl::Duration began = Monotonic();
      index.Follow(committed, changed);
      took += Monotonic() - began;
    };
    follow();
    int pods = 0;
    directory_.snapshot()->ForEachPod([&](const Pod& pod) {
      directory.Put(pod);
      if (++pods % 500 == 0) follow();
    });
    directory_.snapshot()->ForEachNamespace([&](const Namespace& ns) { directory.Put(ns); });
    follow();
    Print("all of it again: policies, pods by 500, namespaces", took);
  }

  const Kind kind_;
  Directory directory_;
  PolicyIndex index_;
};

// Of this process, since ForgetPeak.
double PeakMb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1e3;
  }
  return 0;
}
void ForgetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

// One policy with as many selectors of peers as there may be, each for all of 5,000 pods.
void RunMostSets() {
  Directory directory;
  for (int i = 0; i < kPodsOfNamespace; ++i) directory.Put(NumberedPod(0, i));
  PolicyIndex index;
  const auto follow = [&] {
    const auto committed = directory.Commit();
    ChangedResources changed;
    const absl::Duration began = Monotonic();
    index.Follow(committed, changed);
    return Monotonic() - began;
  };
  follow();
  NetworkPolicyRule rule;
  for (size_t i = 0; i < kMostSetsOfPolicy; ++i) {
    ObjectSelector others;
    others.match_expressions = {
        {"app", LabelRequirement::Operator::kNotIn, {fmt::format("never-{}", i)}}};
    rule.peers.push_back({others, ObjectSelector(), {}});
  }
  directory.Put(MakePolicy("team-0", "most", {}, {rule}));
  malloc_trim(0);
  ForgetPeak();
  const double before = PeakMb();
  const double held = HeldMb();
  Print(fmt::format("a policy with {} sets of all 5,000 pods", kMostSetsOfPolicy).c_str(),
        follow());
  std::printf("  %-58s %9.1f MB, meanwhile %9.1f\n", "... memory", HeldMb() - held,
              PeakMb() - before);
}

// Sidecars that all hold a set of 5,000, without the transport.
class Sidecars {
 public:
  Sidecars() {
    directory_.Put(MakePolicy("team-0", "all", {}, {{{PodsWith({})}, {Tcp(8080)}}}));
    for (int i = 0; i < kPodsOfNamespace; ++i) directory_.Put(NumberedPod(0, i));
    cache_.Update(directory_.Commit());
    const std::string set = PeerSelector{{"team-0", {}, {}}, "", {}}.SetName();
    DeltaSession::Request request;
    request.set_type_url(std::string(TypeUrl(ResourceType::kPeerSet)));
    request.add_resource_names_subscribe(set);
    for (int i = 0; i < kSidecars; ++i) {
      auto& session = sessions_.emplace_back(std::make_unique<DeltaSession>(Session::Options{
          .set = cache_.current(), .peer = "peer", .identifier = "portolan-control bench"}));
      Send(request, *session);
      largest_ = std::max(largest_, session->NextResponse()->Length());
    }
  }

  bool Run() {
    std::printf("%d sidecars that admit 5,000 pods\n", kSidecars);
    std::printf("  %-58s %9zu bytes\n", "the set", largest_);
    std::vector<absl::Duration> all;
    size_t most = 0;
    for (int round = 0; round < kRounds; ++round) {
      directory_.Put(NumberedPod(0, 10'000 + round));
      const auto committed = directory_.Commit();
      const absl::Duration began = Monotonic();
      const auto published = cache_.Update(committed);
      for (auto& session : sessions_) {
        session->OnPublish(published);
        grpc::ByteBuffer response = *session->NextResponse();
        most = std::max(most, response.Length());
        nonce_ = std::move(response);
      }
      all.push_back(Monotonic() - began);
      Acknowledge();
    }
    std::sort(all.begin(), all.end());
    Print("one pod more, composed for all", all[kRounds / 2], all.back());
    std::printf("  %-58s %9zu bytes, at most %zu\n", "... for each", most, kMostBytes);
    return most <= kMostBytes;
  }

 private:
  static void Send(const DeltaSession::Request& request, DeltaSession& session) {
    const std::string bytes = request.SerializeAsString();
    const grpc::Slice slice(bytes);
    if (!session.OnRequest(grpc::ByteBuffer(&slice, 1)).ok()) std::abort();
  }

  // All are sent the same, so they answer the same.
  void Acknowledge() {
    grpc::ProtoBufferReader reader(&nonce_);
    envoy::service::discovery::v3::DeltaDiscoveryResponse response;
    if (!response.ParseFromZeroCopyStream(&reader)) std::abort();
    DeltaSession::Request answer;
    answer.set_type_url(response.type_url());
    answer.set_response_nonce(response.nonce());
    for (auto& session : sessions_) Send(answer, *session);
  }

  Directory directory_;
  ResourceCache cache_;
  std::vector<std::unique_ptr<DeltaSession>> sessions_;
  size_t largest_ = 0;
  grpc::ByteBuffer nonce_;  // the last response
};

}  // namespace
}  // namespace portolan::xds

int main() {
  using namespace portolan::xds;
  std::puts("policies as they usually are");
  Bench(Kind::kUsual).Run();
  std::puts("each policy with 5,000 peers of its own");
  Bench(Kind::kOwnSets).Run();
  std::puts("the most that one policy may ask for");
  RunMostSets();
  return Sidecars().Run() ? 0 : 1;
}
