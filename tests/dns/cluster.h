// Small clusters for tests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "directory/directory.h"
#include "dns/cluster_data.h"
#include "dns/plugins/service_records.h"

namespace portolan::dns::test {

inline IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }

// A directory with its records, and the holder a worker would have.
class Cluster {
 public:
  explicit Cluster(Directory::Slices slices = Directory::Slices::kOfAll) : directory_(slices) {}

  Directory& directory() { return directory_; }
  const ClusterDataHolder& holder() const { return holder_; }
  void Replace(const ClusterData& data) {
    holder_.Replace(std::make_shared<const ClusterData>(data));
  }

  void PutService(std::string ns, std::string name, const std::vector<std::string_view>& ips) {
    Service service;
    service.name = {std::move(ns), std::move(name)};
    service.headless = ips.empty();
    for (const auto& ip : ips) service.cluster_ips.push_back(Ip(ip));
    directory_.Put(std::move(service));
  }
  void PutExternalName(std::string ns, std::string name, std::string target) {
    Service service;
    service.name = {std::move(ns), std::move(name)};
    service.type = ServiceType::kExternalName;
    ServiceExtras extras;
    extras.external_name = std::move(target);
    service.extras = std::move(extras);
    directory_.Put(std::move(service));
  }
  // Pairs of address and hostname, in a slice for each family.
  void PutEndpoints(const std::string& ns, const std::string& service,
                    const std::vector<std::pair<std::string_view, std::string>>& endpoints,
                    bool ready = true) {
    for (const IpFamily family : {IpFamily::kIpv4, IpFamily::kIpv6}) {
      EndpointSlice slice;
      slice.name = {ns, service + (family == IpFamily::kIpv4 ? "-4" : "-6")};
      slice.service = service;
      slice.family = family;
      for (const auto& [ip, hostname] : endpoints) {
        if (Ip(ip).family() != family) continue;
        Endpoint endpoint;
        endpoint.addresses = {Ip(ip)};
        endpoint.hostname = hostname;
        endpoint.conditions.ready = ready;
        slice.endpoints.push_back(std::move(endpoint));
      }
      directory_.Put(std::move(slice));
    }
  }

  void Publish(FeedTrust trust = FeedTrust::kInSync) {
    auto records = compiler_.Apply(directory_.Commit(), absl::FromUnixSeconds(1700000000));
    holder_.Replace(std::make_shared<const ClusterData>(
        ClusterData{trust, directory_.snapshot(), std::move(records)}));
  }

 private:
  Directory directory_;
  ServiceRecordsCompiler compiler_;
  ClusterDataHolder holder_;
};

}  // namespace portolan::dns::test
