#include "ctl/analyze/read_cluster.h"

#include <memory>
#include <string_view>
#include <utility>

#include "common/document/json.h"
#include "common/event_loop.h"
#include "common/kubernetes/api_status.h"
#include "common/kubernetes/curl_client.h"
#include "common/kubernetes/in_cluster.h"
#include "common/kubernetes/kubeconfig.h"
#include "common/kubernetes/list_reader.h"
#include "common/nearest.h"
#include "common/status.h"
#include "ctl/client.h"
#include "ctl/pod_template_kinds.h"

namespace portolan::ctl::analyze {
namespace {

constexpr int kMaxPages = 10'000;

struct Resource {
  std::string_view api_version;
  std::string_view kind;
  std::string_view plural;
  Whole Objects::*whole = nullptr;  // what knows that it was read
};

// Namespaces first, which say whether the one that is asked for is there. Pods last: they are the
// most.
std::vector<Resource> Resources() {
  std::vector<Resource> resources = {
      {"v1", "Namespace", "namespaces", &Objects::whole_namespaces},
      {"v1", "Service", "services", &Objects::whole_services},
      {"discovery.k8s.io/v1", "EndpointSlice", "endpointslices", &Objects::whole_slices},
      {"networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"}};
  for (const PodTemplateKind& kind : kPodTemplateKinds) {
    resources.push_back({kind.api_version, kind.kind, kind.plural,
                         kind.kind == "Pod" ? &Objects::whole_pods : nullptr});
  }
  return resources;
}

std::string PathOf(const Resource& resource, const std::string& ns) {
  const bool core = resource.api_version.find('/') == std::string_view::npos;
  return fmt::format("/{}/{}{}/{}?limit=500", core ? "api" : "apis", resource.api_version,
                     ns.empty() ? "" : "/namespaces/" + EncodeQuery(ns), resource.plural);
}

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

// One page of a list; the loop runs until it is there.
class Page : private ApiClient::Listener {
 public:
  Page(EventLoop& loop, ApiClient& client, const Resource& resource, Objects& objects)
      : loop_(loop), resource_(resource), objects_(objects), client_(client) {}

  // The token that goes on; empty: this was the last. kPermissionDenied: one may not; kAborted: the
  // list that it goes on with is no longer known.
  absl::StatusOr<std::string> Read(const std::string& target, absl::Duration timeout) {
    exchange_ = client_.Start({.target = target, .timeout = timeout}, *this);
    loop_.Run();
    exchange_.reset();
    if (!end_.ok()) return end_;
    if (status_ != 200) {
      const ApiStatus answer = ReadApiStatus(json_, status_, std::move(refusal_));
      return absl::Status(CodeOf(status_), fmt::format("{}: {}", status_, answer.message));
    }
    if (!item_fault_.ok()) return item_fault_;
    const auto head = list_.Finish(json_);
    if (!head.ok()) return head.status();
    return head->continue_token;
  }

 private:
  static absl::StatusCode CodeOf(int status) {
    switch (status) {
      case 401:
        return absl::StatusCode::kUnauthenticated;
      case 403:
        return absl::StatusCode::kPermissionDenied;
      case 410:
        return absl::StatusCode::kAborted;
      default:
        return absl::StatusCode::kUnavailable;
    }
  }

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
        objects_.Add(*Typed(**item, resource_.api_version, resource_.kind), "");
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

class Reader {
 public:
  Reader(EventLoop& loop, std::unique_ptr<AccessSource> access, absl::Duration timeout)
      : loop_(loop),
        client_(loop, std::move(access), "portolanctl/" PORTOLAN_VERSION),
        timeout_(timeout) {}

  // All of a kind, or nothing: half a list would be taken for all there is.
  absl::Status Read(const Resource& resource, const std::string& ns, Objects& objects) {
    Objects more = objects;
    absl::Status status = ReadPages(PathOf(resource, ns), resource, more);
    if (absl::IsAborted(status)) {
      more = objects;
      status = ReadPages(PathOf(resource, ns), resource, more);
    }
    if (!status.ok()) {
      return absl::Status(status.code(), fmt::format("{}: {}", resource.plural, Message(status)));
    }
    objects = std::move(more);
    if (resource.whole != nullptr) objects.*resource.whole = {.everywhere = ns.empty(), .ns = ns};
    return status;
  }

 private:
  absl::Status ReadPages(const std::string& path, const Resource& resource, Objects& objects) {
    std::string next;
    for (int i = 0; i < kMaxPages; ++i) {
      Page page(loop_, client_, resource, objects);
      auto more =
          page.Read(next.empty() ? path : path + "&continue=" + EncodeQuery(next), timeout_);
      if (!more.ok()) return more.status();
      if (more->empty()) return absl::OkStatus();
      next = *std::move(more);
    }
    return FailedPrecondition("no end of pages");
  }

  EventLoop& loop_;
  CurlClient client_;
  const absl::Duration timeout_;
};

absl::StatusOr<std::unique_ptr<AccessSource>> FindAccess(EventLoop& loop,
                                                         const ClusterQuery& query) {
  if (query.kubeconfig.empty() && !query.context.empty()) {
    return InvalidArgument("there is no kubeconfig that has the context '{}'", query.context);
  }
  if (query.kubeconfig.empty()) return InCluster::Find();
  auto config = LoadKubeconfig(query.kubeconfig, query.context);
  if (!config.ok()) return config.status();
  return MakeAccessSource(loop, *std::move(config));
}

absl::Status CheckNamespace(const Objects& objects, const std::string& ns) {
  if (ns.empty() || !objects.whole_namespaces.everywhere || objects.namespaces.count(ns) > 0) {
    return absl::OkStatus();
  }
  std::vector<std::string_view> known;
  for (const auto& [name, one] : objects.namespaces) known.push_back(name);
  return NotFound("there is no namespace '{}'{}", ns, DidYouMean(ns, known));
}

}  // namespace

absl::StatusOr<ClusterObjects> ReadCluster(const ClusterQuery& query) {
  EventLoop loop;
  auto access = FindAccess(loop, query);
  if (!access.ok()) return access.status();
  Reader reader(loop, *std::move(access), query.timeout);
  ClusterObjects out;
  out.objects.only = query.ns;
  out.objects.cluster_domain = query.cluster_domain;
  for (const Resource& resource : Resources()) {
    const bool of_all = resource.kind == "Namespace" || resource.kind == "Service";
    absl::Status status = reader.Read(resource, of_all ? "" : query.ns, out.objects);
    if (absl::IsPermissionDenied(status) && resource.kind == "Service" && !query.ns.empty()) {
      status = reader.Read(resource, query.ns, out.objects);
    }
    if (absl::IsPermissionDenied(status)) {
      out.missing.emplace_back(Message(status));
    } else if (!status.ok()) {
      return status;
    }
    status = CheckNamespace(out.objects, query.ns);
    if (!status.ok()) return status;
  }
  return out;
}

}  // namespace portolan::ctl::analyze
