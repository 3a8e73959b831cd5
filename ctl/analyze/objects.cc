#include "ctl/analyze/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "ctl/pod_template_kinds.h"
#include "ctl/value_json.h"
#include "xds/sources/objects.h"

namespace portolan::ctl::analyze {
namespace {

constexpr std::string_view kOwnAnnotations = "portolan.dev/";
constexpr std::string_view kExportTo = "portolan.dev/export-to";
// What controllers give each pod beside the labels of its template.
// https://kubernetes.io/docs/reference/labels-annotations-taints/
constexpr std::string_view kOfControllers[] = {"statefulset.kubernetes.io/pod-name",
                                               "apps.kubernetes.io/pod-index",
                                               "pod-template-hash",
                                               "controller-revision-hash",
                                               "batch.kubernetes.io/job-name",
                                               "job-name",
                                               "batch.kubernetes.io/controller-uid",
                                               "controller-uid"};

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

bool Flag(const Value* value, bool absent) {
  const nlohmann::json flag = value == nullptr ? nlohmann::json() : ScalarToJson(*value);
  return flag.is_boolean() ? flag.get<bool>() : absent;
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
  if (out.kind == "Namespace") {
    out.ns.clear();
  } else if (out.ns.empty()) {
    out.ns = "default";
  }
  if (out.name.empty()) out.name = Text(Find(metadata, "generateName")) + "*";
  return out;
}

std::optional<ExportTo> ExportToOf(const Value& object) {
  const Value* value = At(&object, {"metadata", "annotations", kExportTo});
  if (value == nullptr) return std::nullopt;
  return ExportTo{Text(value), value->line};
}

// A number, or the name of a container's port (RFC 6335, section 5.1).
std::string FaultOfTarget(const Value* target) {
  constexpr std::string_view kDigits = "0123456789";
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  const std::string text = Text(target);
  if (text.empty()) return {};
  if (target->kind == Value::Kind::kPlain && text.find_first_not_of(kDigits) == text.npos) {
    const bool port = text.size() <= 5 && Number(target) > 0 && Number(target) <= 65535;
    return port ? "" : "is no port, which is 1 to 65535";
  }
  if (text.find_first_of(kLetters) == text.npos) {
    return "is the name of a port, and those have a letter; a number has no quotes";
  }
  const bool name =
      text.size() <= 15 && text.front() != '-' && text.back() != '-' &&
      text.find("--") == text.npos && std::all_of(text.begin(), text.end(), [&](char c) {
        return kLetters.find(c) != kLetters.npos || kDigits.find(c) != kDigits.npos || c == '-';
      });
  return name ? "" : "is no name of a port: at most 15 of a-z, 0-9 and single '-' between them";
}

ServicePort ServicePortOf(const Value* value) {
  const Value* target = Find(value, "targetPort");
  ServicePort port{Text(Find(value, "name")),     Number(Find(value, "port")),
                   Text(Find(value, "protocol")), Text(target),
                   FaultOfTarget(target),         LineOf(value)};
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
  if (const std::string ip = Text(Find(spec, "clusterIP")); !ip.empty()) {
    service.cluster_ips.push_back(ip);
  }
  ForEach(Find(spec, "clusterIPs"),
          [&](const Value* ip) { service.cluster_ips.push_back(Text(ip)); });
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
  service.export_to = ExportToOf(object);
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

std::string IdOf(const Value& object, const Object& named) {
  return fmt::format("{} {}", Text(Find(&object, "apiVersion")), named.ToString());
}

// What made it, which is in the same namespace; empty: nothing did.
std::string OwnerOf(const Value& object, const std::string& ns) {
  std::string id;
  ForEach(At(&object, {"metadata", "ownerReferences"}), [&](const Value* owner) {
    if (!id.empty() && !Flag(Find(owner, "controller"), false)) return;
    id = fmt::format("{} {} {}/{}", Text(Find(owner, "apiVersion")), Text(Find(owner, "kind")), ns,
                     Text(Find(owner, "name")));
  });
  return id;
}

// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
void ReadNames(const Value& object, const Value* spec, Workload& workload) {
  if (workload.kind == "StatefulSet") {  // whose controller sets both
    workload.hostname = workload.name + "-*";
    workload.subdomain = Text(At(&object, {"spec", "serviceName"}));
    return;
  }
  workload.hostname = Text(Find(spec, "hostname"));
  workload.subdomain = Text(Find(spec, "subdomain"));
}

// `pod`: with metadata and spec, a Pod itself or a template.
Workload WorkloadOf(const Value& object, const std::string& file, const Value* pod) {
  Workload workload;
  static_cast<Object&>(workload) = ObjectOf(object, file);
  workload.id = IdOf(object, workload);
  workload.owner = OwnerOf(object, workload.ns);
  const Value* spec = Find(pod, "spec");
  workload.labels = LabelsAt(At(pod, {"metadata", "labels"}));
  for (const auto& [key, value] : LabelsAt(At(pod, {"metadata", "annotations"}))) {
    if (!key.starts_with(kOwnAnnotations)) continue;
    workload.settings[key.substr(kOwnAnnotations.size())] = value;
  }
  workload.host_network = Flag(Find(spec, "hostNetwork"), false);
  ReadNames(object, spec, workload);
  const Value* policy = Find(spec, "dnsPolicy");
  if (!Text(policy).empty()) workload.dns_policy = Text(policy);
  workload.dns_policy_line = LineOf(policy);
  ForEach(At(spec, {"dnsConfig", "nameservers"}),
          [&](const Value* server) { workload.nameservers.push_back(Text(server)); });
  ForEach(At(spec, {"dnsConfig", "searches"}), [&](const Value*) { ++workload.searches; });
  ForEach(At(spec, {"dnsConfig", "options"}), [&](const Value* option) {
    if (Text(Find(option, "name")) == "ndots") workload.ndots = Number(Find(option, "value"));
  });
  for (const char* containers : {"initContainers", "containers"}) {
    ForEach(Find(spec, containers),
            [&](const Value* container) { ReadContainer(container, workload); });
  }
  return workload;
}

const Value* PodOf(const Value& object, std::string_view kind) {
  const PodTemplateKind* known = FindPodTemplateKind(kind);
  if (known == nullptr) return nullptr;
  const Value* at = &object;
  for (std::string_view rest = known->pointer; !rest.empty() && at != nullptr;) {
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('/'), rest.size());
    at = Find(at, rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return at;
}

void CountSlice(const Value& slice, Endpoints& endpoints) {
  ForEach(Find(&slice, "endpoints"), [&](const Value* endpoint) {
    ++endpoints.count;
    // A condition that is not stated counts as true: the API reference of EndpointSlice.
    if (Flag(At(endpoint, {"conditions", "ready"}), true)) ++endpoints.ready;
    ForEach(Find(endpoint, "addresses"),
            [&](const Value* ip) { endpoints.ips.push_back(Text(ip)); });
  });
}

// Of v1, which the control plane's EndpointSliceMirroring makes slices of.
void CountSubsets(const Value& object, Endpoints& endpoints) {
  ForEach(Find(&object, "subsets"), [&](const Value* subset) {
    for (const char* list : {"addresses", "notReadyAddresses"}) {
      ForEach(Find(subset, list), [&](const Value* address) {
        ++endpoints.count;
        if (std::string_view(list) == "addresses") ++endpoints.ready;
        endpoints.ips.push_back(Text(Find(address, "ip")));
      });
    }
  });
}

// A name that the API server makes is not there yet.
bool IsNameToCome(const Value& object, const FieldError& error) {
  return error.path == "metadata.name" && Text(At(&object, {"metadata", "name"})).empty() &&
         !Text(At(&object, {"metadata", "generateName"})).empty();
}

}  // namespace

std::shared_ptr<const Value> Typed(const Value& item, std::string_view api_version,
                                   std::string_view kind) {
  auto typed = std::make_shared<Value>(item);
  if (Find(&item, "kind") != nullptr) return typed;
  typed->kind = Value::Kind::kMap;
  for (const auto& [key, text] : {std::pair("kind", kind), std::pair("apiVersion", api_version)}) {
    auto value = std::make_shared<Value>();
    value->kind = Value::Kind::kText;
    value->text = text;
    typed->fields.emplace_back(key, std::move(value));
  }
  return typed;
}

bool Selects(const Labels& selector, const Workload& workload) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto found = workload.labels.find(wanted.first);
    if (found != workload.labels.end()) return found->second == wanted.second;
    return workload.kind != "Pod" && std::find(std::begin(kOfControllers), std::end(kOfControllers),
                                               wanted.first) != std::end(kOfControllers);
  });
}

void Objects::Add(const Value& object, const std::string& file) {
  const std::string kind = Text(Find(&object, "kind"));
  const std::string api_version = Text(Find(&object, "apiVersion"));
  if (const Value* items = Find(&object, "items"); kind.ends_with("List") && items != nullptr) {
    const std::string_view of = std::string_view(kind).substr(0, kind.size() - 4);
    return ForEach(items, [&](const Value* item) { Add(*Typed(*item, api_version, of), file); });
  }
  const auto known = xds::KindOf(api_version, kind);
  FieldErrors errors;
  const Field root(object, errors);
  const Value* pod = PodOf(object, kind);
  const bool endpoints_of_v1 = kind == "Endpoints" && api_version == "v1";
  if (known != xds::KnownKind::kUnknown || pod != nullptr || endpoints_of_v1) ++read;
  // What the control plane would refuse counts no further.
  const auto converted = xds::ReadObjects(root, known, {});
  const Object named = ObjectOf(object, file);
  if (!errors.ok() && !IsNameToCome(object, errors.first())) {
    Object at = named;
    if (errors.first().line > 0) at.place.line = errors.first().line;
    faults.push_back({at, fmt::format("{}: {}", errors.first().path, errors.first().what)});
    return;
  }
  if (known == xds::KnownKind::kService) {
    services[named.ns + "/" + named.name] = ServiceOf(object, file);
  }
  if (known == xds::KnownKind::kNetworkPolicy) {
    policies.push_back({std::get<NetworkPolicy>(converted.front()), named.place});
  }
  if (known == xds::KnownKind::kNamespace) {
    namespaces[named.name] = {LabelsAt(At(&object, {"metadata", "labels"})), ExportToOf(object),
                              named.place};
  }
  if (known == xds::KnownKind::kEndpointSlice) {
    const std::string service =
        Text(At(&object, {"metadata", "labels", "kubernetes.io/service-name"}));
    if (!service.empty()) CountSlice(object, endpoints[named.ns + "/" + service]);
  }
  if (endpoints_of_v1) CountSubsets(object, endpoints[named.ns + "/" + named.name]);
  if (pod != nullptr) {
    workloads[named.ns].push_back(WorkloadOf(object, file, pod));
    workload_ids.insert(workloads[named.ns].back().id);
  }
}

std::set<std::string, std::less<>> Objects::NamespaceNames() const {
  std::set<std::string, std::less<>> names;
  for (const auto& [name, ns] : namespaces) names.insert(name);
  for (const auto& [name, service] : services) names.insert(service.ns);
  for (const auto& [name, list] : workloads) names.insert(name);
  return names;
}

const Service* Objects::FindService(std::string_view ns, std::string_view name) const {
  const auto found = services.find(fmt::format("{}/{}", ns, name));
  return found == services.end() ? nullptr : &found->second;
}

const std::vector<Workload>& Objects::WorkloadsOf(std::string_view ns) const {
  static const std::vector<Workload> kNone;
  const auto found = workloads.find(ns);
  return found == workloads.end() ? kNone : found->second;
}

std::vector<const Workload*> Objects::SelectedBy(const Service& service) const {
  std::vector<const Workload*> selected;
  if (service.selector.empty()) return selected;
  for (const Workload& workload : WorkloadsOf(service.ns)) {
    if (workload.kind != "Pod" && IsMade(workload)) continue;
    if (Selects(service.selector, workload)) selected.push_back(&workload);
  }
  return selected;
}

}  // namespace portolan::ctl::analyze
