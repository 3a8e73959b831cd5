#include "ctl/policy/manifest_cluster.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/time/clock.h"
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
      if (pod->ips.empty() && !pod->host_network) pod->ips.push_back(StandIn(pod->name));
      pods_[pod->name] = pod->ips;
    }
    xds::Put(directory_, std::move(object));
  }

  // With `pod`, be it in `objects` or not.
  ManifestCluster Finish(const analyze::Objects& objects, const ObjectName& pod) {
    for (const auto& [name, workloads] : objects.workloads) {
      for (const analyze::Workload& workload : workloads) {
        if (workload.kind != "Pod" && !objects.IsMade(workload)) PutTemplate(workload);
      }
    }
    if (pods_.count(pod) == 0) {
      Pod other;
      other.name = pod;
      Put(std::move(other));
    }
    for (const auto& [key, service] : objects.services) {
      const bool has_slices = objects.endpoints.count(key) > 0;
      if (!has_slices && service.type != "ExternalName") PutSlices(objects, service);
    }
    return {directory_.Commit().snapshot, std::move(stand_ins_)};
  }

 private:
  IpAddress StandIn(const ObjectName& pod) {
    const auto number = static_cast<uint32_t>(stand_ins_.size() + 1);
    const std::array<uint8_t, 4> bytes = {
        static_cast<uint8_t>(240 + number / (1u << 24)), static_cast<uint8_t>(number >> 16),
        static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
    const IpAddress ip = IpAddress::V4(bytes);
    stand_ins_[ip] = pod.ns + "/" + pod.name;
    return ip;
  }

  void PutTemplate(const analyze::Workload& workload) {
    Pod pod;
    pod.name = {workload.ns, workload.name};
    if (pods_.count(pod.name) > 0) return;
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
      const auto pod = pods_.find({workload->ns, workload->name});
      if (pod == pods_.end() || pod->second.empty()) continue;
      EndpointSlice slice;
      slice.name = {service.ns, service.name + "-" + workload->name};
      slice.service = service.name;
      slice.family = pod->second.front().family();
      for (const analyze::ServicePort& port : service.ports) {
        const uint16_t number = TargetOf(port, *workload);
        if (number > 0) slice.ports.push_back({port.name, ProtocolOf(port.protocol), number});
      }
      Endpoint endpoint;
      endpoint.addresses = {pod->second.front()};
      endpoint.pod = pod->first;
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
  std::map<IpAddress, std::string> stand_ins_;
};

}  // namespace

absl::StatusOr<ManifestCluster> ReadManifestCluster(const std::vector<std::string>& paths,
                                                    analyze::Folders folders,
                                                    const ObjectName& pod) {
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
  return builder.Finish(objects, pod);
}

}  // namespace portolan::ctl
