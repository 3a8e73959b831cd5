#include "injector/cluster/followed_cluster.h"

#include <algorithm>
#include <iterator>

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "common/log.h"
#include "common/status.h"
#include "injector/cluster/merged_ranges.h"

namespace portolan::injector {
namespace {

using nlohmann::json;

// Each is a rule of iptables in every pod.
constexpr size_t kMostRanges = 16;
constexpr absl::Duration kAskAgain = absl::Seconds(5);

const std::vector<WantedField> kMetadata = {
    {"name"}, {"namespace"}, {"resourceVersion"}, {"annotations"}};

ApiResource ServiceCidrs() {
  return {.group = "networking.k8s.io",
          .version = "v1",
          .plural = "servicecidrs",
          .kind = "ServiceCIDR",
          .optional = true,
          .fields = {{"metadata", kMetadata}, {"spec", {{"cidrs"}}}}};
}

ApiResource Nodes() {
  return {.group = "",
          .version = "v1",
          .plural = "nodes",
          .kind = "Node",
          .fields = {{"metadata", kMetadata}, {"spec", {{"podCIDR"}, {"podCIDRs"}}}}};
}

ApiResource Services() {
  return {.group = "",
          .version = "v1",
          .plural = "services",
          .kind = "Service",
          .fields = {{"metadata", kMetadata}, {"spec", {{"ports", {{"port"}}}}}}};
}

ApiResource Namespaces() {
  return {.group = "",
          .version = "v1",
          .plural = "namespaces",
          .kind = "Namespace",
          .fields = {{"metadata", kMetadata}}};
}

ApiResource SlicesOf(const std::string& name_space, const std::string& service) {
  return {.group = "discovery.k8s.io",
          .version = "v1",
          .plural = "endpointslices",
          .kind = "EndpointSlice",
          .name_space = name_space,
          .selector = "labelSelector=kubernetes.io/service-name=" + service,
          .fields = {
              {"metadata", kMetadata}, {"ports"}, {"endpoints", {{"addresses"}, {"conditions"}}}}};
}

bool DemandsAll(const Field& object) {
  const Field metadata = object["metadata"];
  const Field annotations = metadata["annotations"];
  const Field capture = annotations["portolan.dev/capture"];
  return capture.String() == "all";
}

void AddRange(std::vector<Cidr>& ranges, const Field& field) {
  const auto range = Cidr::Parse(field.String());
  if (range.ok()) ranges.push_back(*range);
}

std::vector<Cidr> RangesOf(const Field& object, const char* list) {
  std::vector<Cidr> ranges;
  const Field spec = object["spec"];
  const Field cidrs = spec[list];
  cidrs.ForEachItem([&](const Field& item) { AddRange(ranges, item); });
  return ranges;
}

// The port of that name, else the first of the protocol; 0: there is none.
uint16_t PortOf(const Field& slice, const std::string& wanted_name, const std::string& protocol) {
  uint16_t found = 0;
  const Field ports = slice["ports"];
  ports.ForEachItem([&](const Field& port) {
    const Field name = port["name"];
    const Field its_protocol = port["protocol"];
    const Field number = port["port"];
    const int64_t value = number.Int(0);
    if (value <= 0 || value > 65535 || its_protocol.String() != protocol) return;
    if (found == 0 || name.String() == wanted_name) found = static_cast<uint16_t>(value);
  });
  return found;
}

std::vector<SocketAddress> ReadyAddresses(const Field& slice, const std::string& port_name,
                                          const std::string& protocol) {
  std::vector<SocketAddress> ready;
  const uint16_t port = PortOf(slice, port_name, protocol);
  if (port == 0) return ready;
  const Field endpoints = slice["endpoints"];
  endpoints.ForEachItem([&](const Field& endpoint) {
    const Field conditions = endpoint["conditions"];
    const Field is_ready = conditions["ready"];
    if (!is_ready.Bool(true)) return;
    const Field addresses = endpoint["addresses"];
    addresses.ForEachItem([&](const Field& address) {
      const auto ip = IpAddress::Parse(address.String());
      if (ip.ok()) ready.push_back({*ip, port});
    });
  });
  return ready;
}

uint16_t FirstPort(const Field& service) {
  uint16_t first = 0;
  const Field spec = service["spec"];
  const Field ports = spec["ports"];
  ports.ForEachItem([&](const Field& port) {
    const Field number = port["port"];
    const int64_t value = number.Int(0);
    if (first == 0 && value > 0 && value <= 65535) first = static_cast<uint16_t>(value);
  });
  return first;
}

template <typename T>
std::vector<T> All(const FollowedObjects<std::vector<T>>& objects) {
  std::vector<T> all;
  objects.ForEach([&](const std::string&, const std::vector<T>& values) {
    all.insert(all.end(), values.begin(), values.end());
  });
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

// "1" and "31+" as cloud providers write it.
std::optional<int> Number(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  std::string text = found->get<std::string>();
  text = text.substr(0, text.find_first_not_of("0123456789"));
  int number = 0;
  if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

// The image of the container of that name in a Pod, else of the first; empty where it has none.
std::string ImageOf(const json& pod, const std::string& container) {
  std::string image;
  const json none = json::array();
  const json* list = &none;
  if (pod.is_object() && pod.contains("spec") && pod["spec"].is_object() &&
      pod["spec"].contains("containers")) {
    list = &pod["spec"]["containers"];
  }
  if (!list->is_array()) return image;
  for (const json& each : *list) {
    if (!each.is_object() || !each.value("image", json()).is_string()) continue;
    if (image.empty() || each.value("name", json()) == container) image = each["image"];
  }
  return image;
}

}  // namespace

FollowedCluster::FollowedCluster(EventLoop& loop, ApiClient& client, Options options,
                                 std::function<void()> on_change)
    : options_(std::move(options)),
      on_change_(std::move(on_change)),
      service_cidrs_(
          loop, client, ServiceCidrs(),
          [](const Field& object) { return RangesOf(object, "cidrs"); }, [this] { Changed(); }),
      nodes_(
          loop, client, Nodes(),
          [](const Field& object) {
            std::vector<Cidr> ranges = RangesOf(object, "podCIDRs");
            const Field spec = object["spec"];
            if (ranges.empty()) AddRange(ranges, spec["podCIDR"]);
            return ranges;
          },
          [this] { Changed(); }),
      control_(
          loop, client, SlicesOf(options_.name_space, options_.control_service + "-peers"),
          [](const Field& slice) { return ReadyAddresses(slice, "xds", "TCP"); },
          [this] { Changed(); }),
      dns_(
          loop, client, SlicesOf("kube-system", "kube-dns"),
          [](const Field& slice) { return ReadyAddresses(slice, "dns", "UDP"); },
          [this] { Changed(); }),
      services_(loop, client, Services(), FirstPort, [] {}),
      namespaces_(loop, client, Namespaces(), DemandsAll, [] {}),
      version_call_(client),
      pod_call_(client),
      pod_fault_(options_.pod.empty() ? "" : "not answered yet"),
      gather_timer_(loop.AddTimer([this] { Gather(); })),
      version_timer_(loop.AddTimer([this] { AskVersion(); })),
      pod_timer_(loop.AddTimer([this] { AskOwnPod(); })) {
  facts_.service_port = [this](std::string_view name_space,
                               std::string_view name) -> std::optional<uint16_t> {
    const uint16_t* port = services_.Find(fmt::format("{}/{}", name_space, name));
    if (port == nullptr || *port == 0) return std::nullopt;
    return *port;
  };
  facts_.demands_all = [this](std::string_view name_space) {
    const bool* demands = namespaces_.Find(name_space);
    return demands != nullptr && *demands;
  };
}

void FollowedCluster::Start() {
  service_cidrs_.Start();
  nodes_.Start();
  control_.Start();
  dns_.Start();
  services_.Start();
  namespaces_.Start();
  AskVersion();
  if (!options_.pod.empty()) AskOwnPod();
}

const ClusterFacts& FollowedCluster::facts() {
  std::vector<SocketAddress>& pods = facts_.control_pods;
  if (pods.size() > 1) std::rotate(pods.begin(), pods.begin() + 1, pods.end());
  return facts_;
}

void FollowedCluster::Changed() {
  if (!std::exchange(scheduled_, true)) gather_timer_.Start(options_.gather);
}

void FollowedCluster::Gather() {
  scheduled_ = false;
  facts_.service_cidrs = All(service_cidrs_);
  facts_.pod_cidrs = MergedRanges(All(nodes_), kMostRanges);
  facts_.control_pods = All(control_);
  facts_.dns_endpoints = All(dns_);
  on_change_();
}

void FollowedCluster::AskVersion() {
  version_call_.Start(
      {.target = "/version"}, "get /version", [this](const absl::StatusOr<std::string>& body) {
        const json answer = body.ok() ? json::parse(*body, nullptr, false) : json();
        const auto major = Number(answer, "major"), minor = Number(answer, "minor");
        if (major.has_value() && minor.has_value()) {
          facts_.version = KubernetesVersion{*major, *minor};
          version_fault_.clear();
          Changed();
          return version_timer_.Start(options_.ask_version_every);
        }
        version_fault_ =
            body.ok() ? "get /version: no version came back" : std::string(Message(body.status()));
        version_timer_.Start(kAskAgain);
      });
}

void FollowedCluster::AskOwnPod() {
  pod_call_.Start(
      {.target = fmt::format("/api/v1/namespaces/{}/pods/{}", options_.name_space, options_.pod)},
      "get pods " + options_.pod, [this](const absl::StatusOr<std::string>& body) {
        if (body.ok()) {
          facts_.image = ImageOf(json::parse(*body, nullptr, false), "portolan-injector");
        }
        // Run by hand it is no pod of that name.
        const bool answered = body.ok() || absl::IsNotFound(body.status());
        pod_fault_ = answered ? "" : std::string(Message(body.status()));
        if (!pod_fault_.empty()) return pod_timer_.Start(kAskAgain);
        Changed();
      });
}

std::vector<std::pair<const Reflector*, bool>> FollowedCluster::needed() const {
  return {{&service_cidrs_.reflector(), service_cidrs_.known()},
          {&nodes_.reflector(), nodes_.known()},
          {&control_.reflector(), control_.known()},
          {&dns_.reflector(), dns_.known()},
          {&namespaces_.reflector(), namespaces_.known()}};
}

std::vector<std::string> FollowedCluster::missing() const {
  std::vector<std::string> missing;
  if (!facts_.version.has_value()) missing.push_back(version_fault_);
  if (!pod_fault_.empty()) missing.push_back(pod_fault_);
  for (const auto& [reflector, known] : needed()) {
    if (known) continue;
    const std::string& failure = reflector->stats().last_failure;
    missing.push_back(reflector->resource().path() + ": " +
                      (failure.empty() ? "not answered yet" : failure));
  }
  if (missing.empty() && scheduled_) missing.push_back("being gathered");
  return missing;
}

void FollowedCluster::AddMetrics(MetricFamilies& families) const {
  const auto add = [&](const Reflector& reflector, size_t objects) {
    const std::string name = reflector.resource().path();
    SetGaugeSample(families, "portolan_injector_followed_connected",
                   "1 while the API server tells what changes.", {{"resource", name}},
                   reflector.stats().connected ? 1 : 0);
    SetGaugeSample(families, "portolan_injector_followed_objects", "Objects that are known.",
                   {{"resource", name}}, static_cast<double>(objects));
  };
  add(service_cidrs_.reflector(), service_cidrs_.size());
  add(nodes_.reflector(), nodes_.size());
  add(control_.reflector(), control_.size());
  add(dns_.reflector(), dns_.size());
  add(services_.reflector(), services_.size());
  add(namespaces_.reflector(), namespaces_.size());
}

}  // namespace portolan::injector
