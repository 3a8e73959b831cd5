#include "ctl/analyze/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "xds/sources/network_policy.h"
#include "xds/sources/objects.h"

namespace portolan::ctl::analyze {
namespace {

constexpr std::string_view kInject = "portolan.dev/inject";
constexpr std::string_view kExportTo = "portolan.dev/export-to";

const Value* Find(const Value* map, std::string_view key) {
  if (map == nullptr || map->kind != Value::Kind::kMap) return nullptr;
  for (const auto& [name, value] : map->fields) {
    if (name == key) return value.get();
  }
  return nullptr;
}

// The value at the end of `keys`; null: there is none.
const Value* At(const Value* map, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) map = Find(map, key);
  return map;
}

std::string Text(const Value* value) {
  const bool scalar =
      value != nullptr && (value->kind == Value::Kind::kPlain || value->kind == Value::Kind::kText);
  return scalar ? value->text : std::string();
}

std::optional<std::string> TextIfThere(const Value* value) {
  return value == nullptr ? std::nullopt : std::optional(Text(value));
}

int Number(const Value* value) {
  const std::string text = Text(value);
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

int LineOf(const Value* value) { return value == nullptr ? 0 : value->line; }

template <typename F>
void ForEach(const Value* list, F&& visit) {
  if (list == nullptr || list->kind != Value::Kind::kSequence) return;
  for (const auto& item : list->items) visit(item.get());
}

Labels LabelsAt(const Value* map) {
  Labels labels;
  if (map == nullptr || map->kind != Value::Kind::kMap) return labels;
  for (const auto& [key, value] : map->fields) labels[key] = Text(value.get());
  return labels;
}

Object ObjectOf(const Value& object, const std::string& file) {
  const Value* metadata = Find(&object, "metadata");
  Object out{Text(Find(&object, "kind")),
             Text(Find(metadata, "namespace")),
             Text(Find(metadata, "name")),
             {file, object.line}};
  if (out.ns.empty()) out.ns = "default";
  if (out.name.empty()) out.name = Text(Find(metadata, "generateName")) + "*";
  return out;
}

ServicePort ServicePortOf(const Value* value) {
  ServicePort port{Text(Find(value, "name")), Number(Find(value, "port")),
                   Text(Find(value, "protocol")), Text(Find(value, "targetPort")), LineOf(value)};
  if (port.protocol.empty()) port.protocol = "TCP";
  if (port.target.empty()) port.target = fmt::format("{}", port.port);
  return port;
}

Service ServiceOf(const Value& object, const std::string& file) {
  const Value* spec = Find(&object, "spec");
  Service service;
  static_cast<Object&>(service) = ObjectOf(object, file);
  if (std::string type = Text(Find(spec, "type")); !type.empty()) service.type = std::move(type);
  service.headless = Text(Find(spec, "clusterIP")) == "None";
  service.selector = LabelsAt(Find(spec, "selector"));
  const Value* external = Find(spec, "externalName");
  service.external_name = Text(external);
  service.external_name_line = LineOf(external);
  ForEach(Find(spec, "ports"),
          [&](const Value* port) { service.ports.push_back(ServicePortOf(port)); });
  const auto add_ip = [&](const Value* ip) {
    if (!Text(ip).empty()) service.external_ips.push_back(Text(ip));
  };
  ForEach(Find(spec, "externalIPs"), add_ip);
  add_ip(Find(spec, "loadBalancerIP"));
  ForEach(At(&object, {"status", "loadBalancer", "ingress"}),
          [&](const Value* ingress) { add_ip(Find(ingress, "ip")); });
  std::sort(service.external_ips.begin(), service.external_ips.end());
  service.external_ips.erase(std::unique(service.external_ips.begin(), service.external_ips.end()),
                             service.external_ips.end());
  const Value* export_to = At(&object, {"metadata", "annotations", kExportTo});
  service.export_to = TextIfThere(export_to);
  service.export_to_line = LineOf(export_to);
  return service;
}

void ReadContainer(const Value* container, Workload& workload) {
  const std::string name = Text(Find(container, "name"));
  ForEach(Find(container, "ports"), [&](const Value* port) {
    workload.ports.push_back({name, Text(Find(port, "name")), Number(Find(port, "containerPort")),
                              Text(Find(port, "protocol")), LineOf(port)});
    if (workload.ports.back().protocol.empty()) workload.ports.back().protocol = "TCP";
  });
  ForEach(Find(container, "env"), [&](const Value* variable) {
    const Value* value = Find(variable, "value");
    if (Text(value).empty()) return;
    workload.texts.push_back(
        {name, "env " + Text(Find(variable, "name")), Text(value), LineOf(value)});
  });
  for (const char* words : {"command", "args"}) {
    ForEach(Find(container, words), [&](const Value* word) {
      workload.texts.push_back({name, words, Text(word), LineOf(word)});
    });
  }
}

// `pod`: with metadata and spec, a Pod itself or a template.
Workload WorkloadOf(const Value& object, const std::string& file, const Value* pod) {
  Workload workload;
  static_cast<Object&>(workload) = ObjectOf(object, file);
  const Value* spec = Find(pod, "spec");
  workload.labels = LabelsAt(At(pod, {"metadata", "labels"}));
  workload.host_network = Text(Find(spec, "hostNetwork")) == "true";
  const Value* policy = Find(spec, "dnsPolicy");
  if (!Text(policy).empty()) workload.dns_policy = Text(policy);
  workload.dns_policy_line = LineOf(policy);
  ForEach(At(spec, {"dnsConfig", "nameservers"}),
          [&](const Value* server) { workload.nameservers.push_back(Text(server)); });
  ForEach(At(spec, {"dnsConfig", "options"}), [&](const Value* option) {
    if (Text(Find(option, "name")) == "ndots") workload.ndots = Number(Find(option, "value"));
  });
  for (const char* containers : {"initContainers", "containers"}) {
    ForEach(Find(spec, containers),
            [&](const Value* container) { ReadContainer(container, workload); });
  }
  for (const char* map : {"labels", "annotations"}) {
    const std::string word = Text(At(pod, {"metadata", map, kInject}));
    if (!word.empty()) workload.inject = word == "true" || word == "enabled";
  }
  return workload;
}

const Value* PodOf(const Value& object, std::string_view kind) {
  constexpr std::array<std::string_view, 6> kTemplated = {
      "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"};
  if (kind == "Pod") return &object;
  if (kind == "CronJob") return At(&object, {"spec", "jobTemplate", "spec", "template"});
  const bool templated = std::find(kTemplated.begin(), kTemplated.end(), kind) != kTemplated.end();
  return templated ? At(&object, {"spec", "template"}) : nullptr;
}

// Made by an object that is looked at itself.
bool IsOwned(const Value& object) {
  bool owned = false;
  ForEach(At(&object, {"metadata", "ownerReferences"}), [&](const Value* owner) {
    constexpr std::array<std::string_view, 7> kRead = {
        "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController",
        "Job",        "CronJob"};
    const std::string kind = Text(Find(owner, "kind"));
    owned = owned || std::find(kRead.begin(), kRead.end(), kind) != kRead.end();
  });
  return owned;
}

void CountEndpoints(const Value& slice, Endpoints& endpoints) {
  ForEach(Find(&slice, "endpoints"), [&](const Value* endpoint) {
    ++endpoints.addresses;
    // A condition that is not stated counts as true: the API reference of EndpointSlice.
    if (Text(At(endpoint, {"conditions", "ready"})) != "false") ++endpoints.ready;
  });
}

}  // namespace

bool Selects(const Labels& selector, const Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

void Objects::Add(const Value& object, const std::string& file) {
  const std::string kind = Text(Find(&object, "kind"));
  if (const Value* items = Find(&object, "items"); kind.ends_with("List") && items != nullptr) {
    return ForEach(items, [&](const Value* item) {
      if (!Text(Find(item, "kind")).ends_with("List")) Add(*item, file);
    });
  }
  // What the control plane would refuse counts no further.
  const auto known = xds::KindOf(Text(Find(&object, "apiVersion")), kind);
  FieldErrors errors;
  const Field root(object, errors);
  const Value* pod = PodOf(object, kind);
  if (known != xds::KnownKind::kUnknown || pod != nullptr) ++read;
  const auto converted = xds::ReadObjects(root, known, {});
  if (!errors.ok()) {
    Object at = ObjectOf(object, file);
    if (errors.first().line > 0) at.place.line = errors.first().line;
    faults.push_back({at, fmt::format("{}: {}", errors.first().path, errors.first().what)});
    return;
  }
  if (known == xds::KnownKind::kService) services.push_back(ServiceOf(object, file));
  if (known == xds::KnownKind::kNetworkPolicy) {
    policies.push_back({std::get<NetworkPolicy>(converted.front()), {file, object.line}});
  }
  if (known == xds::KnownKind::kNamespace) {
    namespaces[Text(At(&object, {"metadata", "name"}))] = {
        LabelsAt(At(&object, {"metadata", "labels"})),
        TextIfThere(At(&object, {"metadata", "annotations", kExportTo})),
        {file, object.line}};
  }
  if (known == xds::KnownKind::kEndpointSlice) {
    const std::string service =
        Text(At(&object, {"metadata", "labels", "kubernetes.io/service-name"}));
    if (!service.empty()) {
      CountEndpoints(object, endpoints[ObjectOf(object, file).ns + "/" + service]);
    }
  }
  if (pod != nullptr && !IsOwned(object)) workloads.push_back(WorkloadOf(object, file, pod));
}

std::set<std::string, std::less<>> Objects::NamespaceNames() const {
  std::set<std::string, std::less<>> names;
  for (const auto& [name, ns] : namespaces) names.insert(name);
  for (const Service& service : services) names.insert(service.ns);
  for (const Workload& workload : workloads) names.insert(workload.ns);
  return names;
}

const Service* Objects::FindService(std::string_view ns, std::string_view name) const {
  for (const Service& service : services) {
    if (service.ns == ns && service.name == name) return &service;
  }
  return nullptr;
}

std::vector<const Workload*> Objects::SelectedBy(const Service& service) const {
  std::vector<const Workload*> selected;
  if (service.selector.empty()) return selected;
  for (const Workload& workload : workloads) {
    if (workload.ns == service.ns && Selects(service.selector, workload.labels)) {
      selected.push_back(&workload);
    }
  }
  return selected;
}

}  // namespace portolan::ctl::analyze
