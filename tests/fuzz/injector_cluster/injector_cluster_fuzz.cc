// Any bytes, as what an API server answers to an injector: objects that it follows, its version,
// our own pod, the webhook configuration. What becomes of them stays bounded, and nothing throws.
//
// The first byte says which question they answer.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>

#include "common/log.h"
#include "injector/certificates/webhook_trust.h"
#include "injector/cluster/ca_config_maps.h"
#include "injector/cluster/followed_cluster.h"
#include "injector/cluster/merged_ranges.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan::injector {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

constexpr std::string_view kListEnd =
    R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}})"
    "\n";

constexpr const char* kPaths[] = {
    "/version",
    "/pods/us",
    "/servicecidrs",
    "/nodes",
    "/api/v1/services",
    "/portolan-system/endpointslices",
    "/kube-system/endpointslices",
};

// Never run for long: only the bytes count here.
EventLoop& Loop() {
  static EventLoop loop;
  return loop;
}

void FollowCluster(const char* path, std::string_view bytes) {
  test::ScriptedApi api;
  FollowedCluster cluster(
      Loop(), api, {.name_space = "portolan-system", .pod = "us", .gather = absl::ZeroDuration()},
      [] {});
  cluster.Start();
  auto& asked = api.For(path);
  const bool streamed = asked.target().find("watch=true") != std::string::npos;
  if (streamed) {
    asked.Head().Bytes(bytes).Bytes("\n").Bytes(kListEnd);
  } else {
    asked.Answer(200, bytes);
  }
  test::RunFor(Loop(), absl::ZeroDuration());
  const ClusterFacts& facts = cluster.facts();
  Check(facts.control_pods.size() <= 8 && facts.dns_endpoints.size() <= 8);
  Check(!facts.version.has_value() || facts.version->major >= 0);
  cluster.missing();
}

void FollowConfigMaps(std::string_view bytes) {
  test::ScriptedApi api;
  CaConfigMaps maps(Loop(), api);
  maps.Start();
  maps.SetBundle("BUNDLE");
  api.For("/namespaces").Head().Bytes(bytes).Bytes("\n").Bytes(kListEnd);
  api.For("/configmaps").Head().Bytes(bytes).Bytes("\n").Bytes(kListEnd);
  MetricFamilies families;
  maps.AddMetrics(families);
}

void ReadWebhooks(const std::string& text) {
  const auto webhooks = ReadWebhookBundles(text);
  if (!webhooks.ok()) return;
  TrustedByAll(*webhooks, text);
  Check(PatchOfBundles(*webhooks, "BUNDLE").empty() ==
        std::all_of(webhooks->begin(), webhooks->end(),
                    [](const WebhookBundle& each) { return each.bundle == "BUNDLE"; }));
}

// Ranges out of bytes, five for each: all that they hold is held by the few.
void Merge(std::string_view bytes) {
  std::vector<Cidr> ranges;
  for (; bytes.size() >= 5 && ranges.size() < 64; bytes.remove_prefix(5)) {
    const auto text = fmt::format("{}.{}.{}.{}/{}", uint8_t(bytes[0]), uint8_t(bytes[1]),
                                  uint8_t(bytes[2]), uint8_t(bytes[3]), uint8_t(bytes[4]) % 33);
    ranges.push_back(*Cidr::Parse(text));
  }
  const std::vector<Cidr> merged = MergedRanges(ranges, 4);
  for (const Cidr& range : ranges) {
    Check(std::any_of(merged.begin(), merged.end(), [&](const Cidr& each) {
      return each.prefix_bits <= range.prefix_bits && each.Contains(range.base);
    }));
  }
}

}  // namespace
}  // namespace portolan::injector

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  (void)portolan::log::SetLevel("error");
  spdlog::set_level(spdlog::level::off);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace portolan::injector;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t paths = std::size(kPaths);
  const size_t which = data[0] % (paths + 3);
  if (which < paths) {
    FollowCluster(kPaths[which], text);
  } else if (which == paths) {
    FollowConfigMaps(text);
  } else if (which == paths + 1) {
    ReadWebhooks(text);
  } else {
    Merge(text);
  }
  return 0;
}
