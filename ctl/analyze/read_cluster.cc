#include "ctl/analyze/read_cluster.h"

#include <curl/curl.h>

#include <memory>
#include <utility>

#include "common/document/json.h"
#include "common/event_loop.h"
#include "common/kubernetes/api_status.h"
#include "common/kubernetes/curl_client.h"
#include "common/kubernetes/in_cluster.h"
#include "common/kubernetes/kubeconfig.h"
#include "common/kubernetes/list_reader.h"
#include "common/status.h"
#include "ctl/client.h"

namespace portolan::ctl::analyze {
namespace {

constexpr int kMaxPages = 10'000;

struct Resource {
  const char* group;  // as in a path
  const char* plural;
  const char* api_version;
  const char* kind;
};

// Namespaces first: they are in no namespace.
constexpr Resource kResources[] = {
    {"/api/v1", "namespaces", "v1", "Namespace"},
    {"/api/v1", "services", "v1", "Service"},
    {"/api/v1", "pods", "v1", "Pod"},
    {"/apis/discovery.k8s.io/v1", "endpointslices", "discovery.k8s.io/v1", "EndpointSlice"},
    {"/apis/networking.k8s.io/v1", "networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"},
    {"/apis/apps/v1", "deployments", "apps/v1", "Deployment"},
    {"/apis/apps/v1", "statefulsets", "apps/v1", "StatefulSet"},
    {"/apis/apps/v1", "daemonsets", "apps/v1", "DaemonSet"},
    {"/apis/apps/v1", "replicasets", "apps/v1", "ReplicaSet"},
    {"/apis/batch/v1", "jobs", "batch/v1", "Job"},
    {"/apis/batch/v1", "cronjobs", "batch/v1", "CronJob"},
};

// The fields that Objects looks at; of a template the same below another path.
std::vector<WantedField> Wanted() {
  const std::vector<WantedField> metadata = {{"name"},   {"namespace"},   {"generateName"},
                                             {"labels"}, {"annotations"}, {"ownerReferences"}};
  return {{"kind"},
          {"apiVersion"},
          {"metadata", metadata},
          {"spec"},
          {"status", {{"loadBalancer"}, {"phase"}, {"podIP"}, {"podIPs"}}},
          {"addressType"},
          {"endpoints"},
          {"ports"}};
}

// Items of a list do not say what they are.
std::shared_ptr<const Value> Typed(const Value& item, const Resource& resource) {
  auto typed = std::make_shared<Value>(item);
  const auto add = [&](const char* key, const char* text) {
    auto value = std::make_shared<Value>();
    value->kind = Value::Kind::kText;
    value->text = text;
    typed->fields.emplace_back(key, std::move(value));
  };
  for (const auto& [key, value] : item.fields) {
    if (key == "kind") return typed;
  }
  add("kind", resource.kind);
  add("apiVersion", resource.api_version);
  return typed;
}

// One page of a list; the loop runs until it is there.
class Page : private ApiClient::Listener {
 public:
  Page(EventLoop& loop, ApiClient& client, const Resource& resource, Objects& objects)
      : loop_(loop), resource_(resource), objects_(objects), client_(client) {}

  // The token that goes on; empty: this was the last.
  absl::StatusOr<std::string> Read(const std::string& target) {
    exchange_ = client_.Start({.target = target, .timeout = absl::Seconds(60)}, *this);
    loop_.Run();
    exchange_.reset();
    if (!end_.ok()) return end_;
    if (status_ != 200) {
      const ApiStatus answer = ReadApiStatus(json_, status_, std::move(refusal_));
      if (status_ == 401) return absl::UnauthenticatedError(fmt::format("401: {}", answer.message));
      return absl::PermissionDeniedError(fmt::format("{}: {}", answer.code, answer.message));
    }
    if (!item_fault_.ok()) return item_fault_;
    const auto head = list_.Finish(json_);
    if (!head.ok()) return head.status();
    return head->continue_token;
  }

 private:
  void OnHead(const ApiResponseHead& head) override { status_ = head.status; }
  void OnBytes(std::string_view bytes) override {
    if (status_ != 200) {
      if (refusal_.size() < kMaxJsonBytes) refusal_ += bytes;
      return;
    }
    const absl::Status ignored = list_.Take(bytes, [&](std::string& text) {
      const auto item = json_.Read(text, wanted_);
      if (!item.ok()) {
        item_fault_ = item.status();
      } else {
        objects_.Add(*Typed(**item, resource_), "");
      }
    });
  }
  void OnEnd(const absl::Status& status) override {
    end_ = status;
    loop_.Stop();
  }

  EventLoop& loop_;
  const Resource& resource_;
  Objects& objects_;
  ApiClient& client_;
  const std::vector<WantedField> wanted_ = Wanted();
  JsonReader json_;
  ListReader list_;
  int status_ = 0;
  std::string refusal_;
  absl::Status item_fault_;
  absl::Status end_;
  std::unique_ptr<ApiClient::Exchange> exchange_;
};

absl::Status ReadAll(EventLoop& loop, ApiClient& client, const Resource& resource,
                     const std::string& ns, Objects& objects) {
  const bool scoped = !ns.empty() && std::string_view(resource.plural) != "namespaces";
  const std::string path = fmt::format("{}{}/{}?limit=500", resource.group,
                                       scoped ? "/namespaces/" + ns : "", resource.plural);
  std::string next;
  for (int i = 0; i < kMaxPages; ++i) {
    Page page(loop, client, resource, objects);
    auto more = page.Read(next.empty() ? path : path + "&continue=" + EncodeQuery(next));
    if (!more.ok()) return more.status();
    if (more->empty()) return absl::OkStatus();
    next = *std::move(more);
  }
  return FailedPrecondition("no end of pages");
}

absl::StatusOr<std::unique_ptr<AccessSource>> FindAccess(EventLoop& loop,
                                                         const std::string& kubeconfig,
                                                         const std::string& context) {
  if (kubeconfig.empty()) return InCluster::Find();
  auto config = LoadKubeconfig(kubeconfig, context);
  if (!config.ok()) return config.status();
  return MakeAccessSource(loop, *std::move(config));
}

}  // namespace

absl::StatusOr<ClusterObjects> ReadCluster(const std::string& kubeconfig,
                                           const std::string& context, const std::string& ns) {
  EventLoop loop;
  auto access = FindAccess(loop, kubeconfig, context);
  if (!access.ok()) return access.status();
  CurlClient client(loop, *std::move(access), "portolanctl/" PORTOLAN_VERSION);
  ClusterObjects out;
  out.objects.origin = Origin::kCluster;
  for (const Resource& resource : kResources) {
    const absl::Status status = ReadAll(loop, client, resource, ns, out.objects);
    if (status.ok()) continue;
    if (!absl::IsPermissionDenied(status)) return status;
    out.missing.push_back(fmt::format("{}: {}", resource.plural, Message(status)));
  }
  return out;
}

}  // namespace portolan::ctl::analyze
