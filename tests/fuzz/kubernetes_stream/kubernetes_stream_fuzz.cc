// Any bytes, as what an API server answers to a list and to a watch, cut anywhere: what is known of
// the cluster stays consistent, the same whole or cut, and no object is forgotten for bytes that
// make no sense.
//
// The first byte says where the rest is cut.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/log.h"
#include "tests/kubernetes/scripted_api.h"
#include "xds/policy_status/policy_status.h"
#include "xds/sources/kubernetes/followed_kind.h"

namespace portolan::xds {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

// Never run: only the bytes count here.
EventLoop& Loop() {
  static EventLoop loop;
  return loop;
}

constexpr std::string_view kHeld =
    R"({"type":"ADDED","object":{"kind":"Service","metadata":{"name":"held","namespace":"fuzz","resourceVersion":"1"},)"
    R"("spec":{"clusterIP":"None","ports":[{"port":80}]}}})"
    "\n"
    R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}})"
    "\n";

struct FollowedResource {
  ApiResource api;
  KnownKind kind;
};
const FollowedResource kResources[] = {
    {{"", "v1", "services", "Service"}, KnownKind::kService},
    {{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"}, KnownKind::kEndpointSlice},
    {{"", "v1", "pods", "Pod"}, KnownKind::kPod},
    {{"", "v1", "nodes", "Node"}, KnownKind::kNode},
    {{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"}, KnownKind::kNetworkPolicy},
    {{"networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR"}, KnownKind::kServiceCidr},
    {{"portolan.dev", "v1alpha1", "dnsegresspolicies", "DNSEgressPolicy"},
     KnownKind::kDnsEgressPolicy},
    {{"policy.networking.k8s.io", "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy"},
     KnownKind::kClusterNetworkPolicy},
    {{"policy.networking.k8s.io", "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy"},
     KnownKind::kAdminNetworkPolicy},
};

// What a status would be written for: what is written is what is read back.
struct Statuses : ObjectObserver {
  void OnRead(const Field& object, const FieldErrors& errors) override {
    WatchedPolicy policy = ReadWatchedPolicy(object, errors);
    const PolicyStatus status = StatusOf(policy, Enforcement{3, 1, 1}, absl::UnixEpoch());
    StatusPatch(policy, status);
    policy.status = status;
    Check(StatusOf(policy, Enforcement{3, 1, 1}, absl::Now()) == status);
  }
  void OnGone(std::string_view key) override { Check(!key.empty()); }
};

// How the bytes come: to which question, in which pieces.
enum class Means { kStream, kPage, kRefusal };

// How many objects are known afterwards, and of how many kinds of changes.
std::pair<size_t, uint64_t> Feed(const FollowedResource& resource, Means means,
                                 const std::vector<std::string_view>& pieces) {
  test::ScriptedApi api;
  Directory directory;
  Reflector::Options options;
  Statuses statuses;
  FollowedKind followed(
      Loop(), api, resource.api, resource.kind, directory, options, [] {}, &statuses);
  followed.Start();
  if (means == Means::kPage) api.last().Answer(400, "no streams here");
  auto& asked = api.last();
  asked.Head(means == Means::kRefusal ? 403 : 200);
  for (const std::string_view piece : pieces) asked.Bytes(piece);
  asked.End();
  directory.Commit();
  const auto& stats = followed.reflector().stats();
  Check(followed.invalid() <= followed.objects());
  Check(stats.last_failure.size() < 2000);
  uint64_t events = 0;
  for (const uint64_t count : stats.events) events += count;
  return {followed.objects(), events};
}

// A Service that is held stays through anything that is no list without it and no word of its end.
void CheckHeldStays(std::string_view bytes) {
  test::ScriptedApi api;
  Directory directory;
  FollowedKind followed(Loop(), api, kResources[0].api, KnownKind::kService, directory, {}, [] {});
  followed.Start();
  auto& asked = api.last();
  asked.Head().Bytes(kHeld);
  directory.Commit();
  asked.Bytes(bytes);
  asked.Bytes("\n");
  directory.Commit();
  const bool may_be_gone =
      bytes.find("DELETED") != std::string_view::npos || bytes.find('\\') != std::string_view::npos;
  Check(may_be_gone || directory.snapshot()->FindService("fuzz/held") != nullptr);
}

}  // namespace
}  // namespace portolan::xds

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace portolan::xds;  // NOLINT
  static const bool kQuiet = [] {
    spdlog::set_level(spdlog::level::off);
    return true;
  }();
  (void)kQuiet;
  if (size == 0) return 0;
  const size_t cut = std::min<size_t>(size - 1, data[0] * (size - 1) / 255);
  const auto exact = std::make_unique<char[]>(size - 1);
  std::copy_n(data + 1, size - 1, exact.get());
  const std::string_view bytes(exact.get(), size - 1);
  for (const FollowedResource& resource : kResources) {
    for (const Means means : {Means::kStream, Means::kPage}) {
      const auto whole = Feed(resource, means, {bytes});
      Check(whole == Feed(resource, means, {bytes.substr(0, cut), bytes.substr(cut)}));
    }
  }
  Feed(kResources[0], Means::kRefusal, {bytes});
  CheckHeldStays(bytes);
  return 0;
}
