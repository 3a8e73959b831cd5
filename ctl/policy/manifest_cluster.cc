#include "ctl/policy/manifest_cluster.h"

#include <array>
#include <charconv>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "common/text.h"
#include "ctl/manifest.h"
#include "xds/sources/into_directory.h"
#include "xds/sources/manifests.h"

namespace portolan::ctl {
namespace {

Protocol ProtocolOf(std::string_view word) {
  return word == "UDP" ? Protocol::kUdp : word == "SCTP" ? Protocol::kSctp : Protocol::kTcp;
}

class Builder {
 public:
  void Put(xds::Object object) {
    if (auto* pod = std::get_if<Pod>(&object)) {
      // On its host's network too: those it connects to judge whom they let in.
      if (pod->ips.empty()) pod->ips.push_back(StandIn(pod->name));
      pods_[pod->name] = pod->ips;
    }
    const auto* slice = std::get_if<EndpointSlice>(&object);
    if (slice != nullptr && !slice->imported) sliced_.insert({slice->name.ns, slice->service});
    xds::Put(directory_, std::move(object));
  }

  // With `from`, be it in `objects` or not.
  absl::StatusOr<ManifestCluster> Finish(const analyze::Objects& objects, const ObjectName& from) {
    for (const auto& [ns, workloads] : objects.workloads) PutTemplates(objects, workloads);
    if (pods_.count(from) == 0) {
      if (called_alike_.count(from) > 0) {
        return InvalidArgument("more than one object makes pods called {}: {}\nName one of them",
                               from.ToString(), absl::StrJoin(called_alike_[from], ", "));
      }
      Pod other;
      other.name = from;
      Put(std::move(other));
    }
    for (const auto& [key, service] : objects.services) {
      const bool has_slices = sliced_.count({service.ns, service.name}) > 0;
      if (!has_slices && service.type != "ExternalName") PutSlices(objects, service);
    }
    return ManifestCluster{directory_.Commit().snapshot, std::move(stand_ins_)};
  }

 private:
  // Those of a namespace by name and by id.
  using ByName = std::map<std::string, std::map<std::string, const analyze::Workload*>>;

  IpAddress StandIn(const ObjectName& pod) {
    const auto number = static_cast<uint32_t>(stand_ins_.size() + 1);
    const std::array<uint8_t, 4> bytes = {
        static_cast<uint8_t>(240 + number / (1u << 24)), static_cast<uint8_t>(number >> 16),
        static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
    const IpAddress ip = IpAddress::V4(bytes);
    stand_ins_[ip] = pod.ns + "/" + pod.name;
    return ip;
  }

  // Of one namespace.
  void PutTemplates(const analyze::Objects& objects,
                    const std::vector<analyze::Workload>& workloads) {
    ByName by_name;
    for (const analyze::Workload& workload : workloads) {
      if (workload.kind == "Pod" || objects.IsMade(workload)) continue;
      by_name[workload.name].emplace(workload.id, &workload);
    }
    for (const auto& [name, alike] : by_name) {
      for (const auto& [id, workload] : alike) {
        const ObjectName pod = FreeName(*workload, by_name);
        PutTemplate(*workload, pod);
        stand_for_[id] = pod;
        if (alike.size() > 1) called_alike_[{workload->ns, name}].push_back(pod.ToString());
      }
    }
  }

  // The workload's own name where no other has it, else with its kind, so that no other has that.
  ObjectName FreeName(const analyze::Workload& workload, const ByName& by_name) const {
    const std::string kind = "-" + Lower(workload.kind);
    ObjectName name{workload.ns, workload.name};
    bool is_taken = by_name.at(name.name).size() > 1 || pods_.count(name) > 0;
    while (is_taken) {
      name.name += kind;
      is_taken = by_name.count(name.name) > 0 || pods_.count(name) > 0;
    }
    return name;
  }

  void PutTemplate(const analyze::Workload& workload, const ObjectName& name) {
    Pod pod;
    pod.name = name;
    pod.labels.assign(workload.labels.begin(), workload.labels.end());
    pod.host_network = workload.host_network;
    std::vector<ContainerPort> ports;
    for (const analyze::ContainerPort& port : workload.ports) {
      if (port.name.empty()) continue;
      ports.push_back({port.name, ProtocolOf(port.protocol), static_cast<uint16_t>(port.port)});
    }
    if (!ports.empty()) pod.named_ports = std::move(ports);
    Put(std::move(pod));
  }

  // As the cluster's controller makes them; one for each pod, as each may call its ports otherwise.
  void PutSlices(const analyze::Objects& objects, const analyze::Service& service) {
    for (const analyze::Workload* workload : objects.SelectedBy(service)) {
      const auto stands = stand_for_.find(workload->id);
      const auto pod = pods_.find(
          stands == stand_for_.end() ? ObjectName{workload->ns, workload->name} : stands->second);
      if (pod == pods_.end()) continue;
      EndpointSlice slice;
      // With a dot, which no Service has in its name: no other Service's slice is called so.
      slice.name = {service.ns, service.name + "." + pod->first.name};
      slice.service = service.name;
      slice.family = pod->second.front().family();
      for (const analyze::ServicePort& port : service.ports) {
        const uint16_t number = TargetOf(port, *workload);
        if (number > 0) slice.ports.push_back({port.name, ProtocolOf(port.protocol), number});
      }
      Endpoint endpoint;
      endpoint.addresses = {pod->second.front()};
      endpoint.pod = pod->first;
      if (workload->subdomain == service.name) endpoint.hostname = workload->hostname;
      slice.endpoints.push_back(std::move(endpoint));
      directory_.Put(std::move(slice));
    }
  }

  static uint16_t TargetOf(const analyze::ServicePort& port, const analyze::Workload& workload) {
    uint16_t number = 0;
    const char* end = port.target.data() + port.target.size();
    if (std::from_chars(port.target.data(), end, number).ptr == end) return number;
    for (const analyze::ContainerPort& one : workload.ports) {
      if (one.name == port.target && one.protocol == port.protocol) {
        return static_cast<uint16_t>(one.port);
      }
    }
    return 0;
  }

  Directory directory_;
  std::map<ObjectName, std::vector<IpAddress>> pods_;
  std::set<ObjectName> sliced_;  // Services that the manifests have EndpointSlices of
  std::map<std::string, ObjectName> stand_for_;  // the pod of a template, by the workload's id
  std::map<ObjectName, std::vector<std::string>> called_alike_;  // the pods, by the workloads' name
  std::map<IpAddress, std::string> stand_ins_;
};

}  // namespace

absl::StatusOr<ManifestCluster> ReadManifestCluster(const std::vector<std::string>& paths,
                                                    analyze::Folders folders,
                                                    const ObjectName& from) {
  const auto files = analyze::ListManifests(paths, folders);
  if (!files.ok()) return files.status();
  Builder builder;
  analyze::Objects objects;
  for (const std::string& file : *files) {
    const auto text = ReadManifestText(file);
    if (!text.ok()) return text.status();
    const std::string called = file == "-" ? "standard input" : file;
    auto read = xds::ReadManifests(called, *text, absl::Now());
    if (!read.ok()) return read.status();
    for (xds::Manifest& manifest : read->objects) builder.Put(std::move(manifest.object));
    absl::Status status = analyze::AddText(called, *text, objects);
    if (!status.ok()) return status;
  }
  return builder.Finish(objects, from);
}

}  // namespace portolan::ctl
