#include "proxy/explain/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/nearest.h"
#include "common/text.h"
#include "directory/listing.h"
#include "proxy/explain/question.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;

constexpr size_t kMostSimilar = 5;

json ObjectJson(std::string_view kind, const ObjectName& name, const Origin& origin) {
  return {{"kind", kind},
          {"namespace", name.ns},
          {"name", name.name},
          {"resourceVersion", std::string(origin.resource_version)},
          {"arrived", TimeJson(origin.arrived)},
          {"version", std::string(origin.held_version)}};
}

// The Service that the answering link named, else the one that the name is below.
std::string ServiceOf(const json& lookup, std::string_view cluster_domain) {
  for (const json& step : lookup.value("steps", json::array())) {
    if (step.contains("service")) return step["service"].get<std::string>();
  }
  return ServiceKeyOf(lookup["name"].get<std::string>(), cluster_domain);
}

struct Explanation {
  std::string why;
  std::vector<std::string> similar;
};

bool NamespaceHasService(const Snapshot& snapshot, std::string_view ns) {
  bool has = snapshot.FindNamespace(ns) != nullptr;
  if (!has) snapshot.ForEachService([&](const Service& one) { has = has || one.name.ns == ns; });
  return has;
}

Explanation NoNamespace(const Snapshot& snapshot, const std::string& ns) {
  std::vector<std::string> names;
  snapshot.ForEachNamespace([&](const Namespace& one) { names.push_back(one.name); });
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view nearest = NearestWord(ns, known);
  Explanation out{fmt::format("there is no namespace '{}'{}", ns, DidYouMean(ns, known)), {}};
  if (!nearest.empty()) out.similar.emplace_back(nearest);
  return out;
}

// Of its own namespace by a typing error, of others by its name.
Explanation NoService(const Snapshot& snapshot, const NameSurroundings& around,
                      const std::string& ns, const std::string& service) {
  std::vector<std::string> neighbours, elsewhere;
  snapshot.ForEachService([&](const Service& one) {
    if (one.name.ns == ns) neighbours.push_back(one.name.name);
    if (one.name.ns != ns && one.name.name == service) elsewhere.push_back(one.name.ns);
  });
  std::sort(elsewhere.begin(), elsewhere.end());
  if (elsewhere.size() > kMostSimilar) elsewhere.resize(kMostSimilar);
  const std::vector<std::string_view> known(neighbours.begin(), neighbours.end());
  const std::string_view nearest = NearestWord(service, known);
  Explanation out;
  out.why =
      fmt::format("namespace '{}' has no Service '{}'{}", ns, service, DidYouMean(service, known));
  if (!nearest.empty()) out.similar.push_back(fmt::format("{}.{}", nearest, ns));
  for (const std::string& other : elsewhere) {
    out.similar.push_back(fmt::format("{}.{}", service, other));
  }
  if (!elsewhere.empty()) {
    out.why += fmt::format("; namespace {} has one", absl::StrJoin(elsewhere, ", "));
  }
  if (ns != around.own_namespace) {
    out.why +=
        "; one that is not exported to this pod's namespace (portolan.dev/export-to) looks "
        "the same from here";
  }
  return out;
}

std::string CountsText(const EndpointCounts& counts, size_t all) {
  return fmt::format("{} endpoints, {} ready, {} terminating", all, counts.ready,
                     counts.terminating);
}

size_t CountAll(const SliceSet& set) {
  size_t all = 0;
  for (const auto& [name, slice] : set) all += slice->endpoints.size();
  return all;
}

bool HasFamily(const Service& service, IpFamily family) {
  return std::any_of(service.cluster_ips.begin(), service.cluster_ips.end(),
                     [&](const IpAddress& ip) { return ip.family() == family; });
}

// The Service is there.
std::string WhyServiceHasNone(const Snapshot& snapshot, const Service& service, size_t in_front,
                              std::string_view type) {
  const std::string key = service.name.ToString();
  if (service.type == ServiceType::kExternalName) {
    return fmt::format("Service {} is an ExternalName: what it is depends on {}", key,
                       service.extras->external_name);
  }
  if (in_front > 0 && !service.headless) {
    return fmt::format("Service {} has no port or endpoint of that name", key);
  }
  if (!service.headless) {
    const bool v4 = type == "A";
    if ((v4 || type == "AAAA") && !HasFamily(service, v4 ? IpFamily::kIpv4 : IpFamily::kIpv6)) {
      return fmt::format("Service {} has no {} address", key, v4 ? "IPv4" : "IPv6");
    }
    return fmt::format("Service {} has no record of type {}", key, type);
  }
  if (!snapshot.KnowsSlices(key)) {
    return fmt::format("the endpoints of headless Service {} are not held yet", key);
  }
  const SliceSet* set = snapshot.FindSlices(key);
  const size_t all = set == nullptr ? 0 : CountAll(*set);
  const EndpointCounts counts = CountEndpoints(set);
  if (counts.ready == 0) {
    return fmt::format("headless Service {} has no ready endpoint ({})", key,
                       CountsText(counts, all));
  }
  if (in_front > 0) {
    return fmt::format("headless Service {} has no ready endpoint of that name ({})", key,
                       CountsText(counts, all));
  }
  return fmt::format("headless Service {} has no ready endpoint for type {} ({})", key, type,
                     CountsText(counts, all));
}

Explanation WhyBelowSvc(const Snapshot& snapshot, const NameSurroundings& around,
                        const std::vector<std::string>& labels, std::string_view type) {
  const std::string& ns = labels.back();
  if (!NamespaceHasService(snapshot, ns)) return NoNamespace(snapshot, ns);
  if (labels.size() == 1) {
    return {fmt::format("'{}' is a namespace, not a Service: Services are NAME.{}.svc.{}", ns, ns,
                        around.cluster_domain),
            {}};
  }
  const std::string& name = labels[labels.size() - 2];
  const Service* service = snapshot.FindService(ns, name);
  if (service == nullptr) return NoService(snapshot, around, ns, name);
  return {WhyServiceHasNone(snapshot, *service, labels.size() - 2, type), {}};
}

}  // namespace

void AddObjects(const Snapshot& snapshot, std::string_view cluster_domain, json& lookup) {
  if (lookup.value("plugin", "") != "kubernetes") return;
  const std::string key = ServiceOf(lookup, cluster_domain);
  const Service* service = key.empty() ? nullptr : snapshot.FindService(key);
  if (service == nullptr) return;
  lookup["service"] = ServiceJson(snapshot, *service, cluster_domain);
  json objects = json::array({ObjectJson("Service", service->name, service->origin)});
  if (const SliceSet* set = snapshot.FindSlices(key)) {
    for (const auto& [name, slice] : *set) {
      if (objects.size() == kMostObjects) break;
      objects.push_back(ObjectJson("EndpointSlice", slice->name, slice->origin));
    }
  }
  lookup["objects"] = std::move(objects);
}

void AddWhy(const Snapshot& snapshot, const NameSurroundings& around, std::string_view type,
            json& lookup) {
  if (!lookup.contains("rcode") || HasAnswer(lookup)) return;
  const std::string plugin = lookup.value("plugin", "");
  const bool passed_on = plugin == "forward" || plugin == "cache";
  if (!passed_on && plugin != "kubernetes") return;
  const std::string name = Lower(lookup["name"].get<std::string>());
  if (!name.ends_with(fmt::format(".{}.", around.cluster_domain))) return;
  const std::vector<std::string> labels = LabelsBelowSvc(name, around.cluster_domain);
  Explanation explained;
  if (!labels.empty()) {
    explained = WhyBelowSvc(snapshot, around, labels, type);
  } else {
    explained.why = fmt::format(
        "there is no such name below {}: Services are NAME.NAMESPACE.svc.{}, pods "
        "1-2-3-4.NAMESPACE.pod.{}",
        around.cluster_domain, around.cluster_domain, around.cluster_domain);
  }
  if (passed_on && !around.in_sync) {
    explained.why +=
        "; the feed is not in sync, so the cluster DNS was asked and its answer counts";
  }
  lookup["why"] = std::move(explained.why);
  if (!explained.similar.empty()) lookup["similar"] = std::move(explained.similar);
}

}  // namespace portolan::proxy
