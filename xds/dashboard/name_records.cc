#include "xds/dashboard/name_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "directory/listing.h"
#include "dns/plugins/endpoint_records.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/wire/name.h"
#include "dns/wire/query.h"
#include "dns/wire/reverse_name.h"
#include "xds/dashboard/name_warnings.h"

namespace portolan::xds {
namespace {

namespace rr = dns::wire::type;

// Of one Service; a name in three that are tried is one that is answered.
constexpr size_t kMostQuestions = 3 * NameRecords::kMost;

// Nothing: `name` is below neither in-addr.arpa nor ip6.arpa, or not a whole address.
std::optional<IpAddress> AddressOfReverse(const std::string& name) {
  const auto wire = dns::wire::NameToWire(name);
  if (!wire.ok()) return std::nullopt;
  dns::wire::Query query;
  dns::wire::SetName({reinterpret_cast<const uint8_t*>(wire->data()), wire->size()}, query);
  IpAddress address;
  if (!dns::ParseReverseName(dns::LabelledName(query), &address)) return std::nullopt;
  return address;
}

using Addresses = absl::flat_hash_set<IpAddress>;

// The ready ones, which DNS publishes, with an address.
template <typename F>
void ForEachPublished(const SliceSet* slices, F&& visit) {
  if (slices == nullptr) return;
  for (const auto& [name, slice] : *slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (endpoint.conditions.ready && !endpoint.addresses.empty()) visit(endpoint);
    }
  }
}

// The part of the directory that the answers are made of.
class Part {
 public:
  // What is added goes to `directory`.
  Part(Directory& directory, const Snapshot& snapshot, const AddressIndex& addresses,
       std::string_view cluster_domain)
      : directory_(directory),
        snapshot_(snapshot),
        addresses_(addresses),
        cluster_domain_(cluster_domain) {}

  void Add(const Service& service) {
    const std::string key = service.name.ToString();
    if (!held_.insert(key).second) return;
    Put(service);
    const SliceSet* slices = snapshot_.FindSlices(key);
    if (slices == nullptr) return;
    for (const auto& [name, slice] : *slices) directory_.Put(slice);
  }

  // Where an alias in `name` leads, and what that is an alias of.
  void AddTarget(std::string_view name) {
    std::string target(name);
    for (size_t i = 0; i < kMostAliases && !target.empty(); ++i) {
      const Service* service = snapshot_.FindService(ServiceKeyOf(target, cluster_domain_));
      if (service == nullptr) return;
      Add(*service);
      target = service->extras->external_name;
    }
  }

  // The Services beside it that `address` leads back to: of their endpoints those with it alone.
  void AddServicesAt(const Addresses& asked) {
    absl::btree_set<std::string> others;
    for (const IpAddress& address : asked) {
      for (const std::string& key : addresses_.ServicesAt(address)) {
        if (!held_.contains(key)) others.insert(key);
      }
      // The cluster IP of another comes before what lists the address.
      const Service* owner = snapshot_.FindServiceByAddress(address);
      if (owner != nullptr && !held_.contains(owner->name.ToString())) {
        others.insert(owner->name.ToString());
      }
    }
    for (const std::string& key : others) AddReduced(key, asked);
  }

 private:
  void Put(const Service& service) {
    directory_.Put(service);
    const Namespace* ns = snapshot_.FindNamespace(service.name.ns);
    if (ns != nullptr) directory_.Put(*ns);
  }

  void AddReduced(const std::string& key, const Addresses& asked) {
    const Service* service = snapshot_.FindService(key);
    if (service == nullptr) return;
    Put(*service);
    const SliceSet* slices = snapshot_.FindSlices(key);
    if (slices == nullptr) return;
    for (const auto& [name, slice] : *slices) {
      EndpointSlice reduced;
      for (const Endpoint& endpoint : slice->endpoints) {
        const bool wanted =
            !endpoint.addresses.empty() && asked.contains(endpoint.addresses.front());
        if (wanted) reduced.endpoints.push_back(endpoint);
      }
      if (reduced.endpoints.empty()) continue;
      reduced.name = slice->name;
      reduced.service = slice->service;
      reduced.family = slice->family;
      reduced.ports = slice->ports;
      directory_.Put(std::move(reduced));
    }
  }

  Directory& directory_;
  const Snapshot& snapshot_;
  const AddressIndex& addresses_;
  const std::string_view cluster_domain_;
  absl::btree_set<std::string> held_;
};

// Why an address was not given, for people.
std::string WhyMissing(const Service& service, uint16_t type, const SidecarDns::Reply& reply) {
  if (reply.rcode == "NXDOMAIN" && reply.by == "kubernetes") {
    return service.headless ? "a headless Service without ready endpoints has no name"
                            : "the Corefile's kubernetes does not show it";
  }
  if (reply.rcode == "NOERROR" && !reply.answers.empty()) {
    return fmt::format("the sidecar asks another server for {}", reply.answers.back().data);
  }
  if (service.type == ServiceType::kExternalName && reply.rcode == "NOERROR") {
    return fmt::format("it is an alias of {}, which has no such address",
                       service.extras->external_name);
  }
  if (reply.rcode == "NOERROR" && reply.by == "kubernetes") {
    return fmt::format("it has no {} address", type == rr::kA ? "IPv4" : "IPv6");
  }
  if (reply.rcode == "SERVFAIL" && (reply.by == "forward" || reply.by.empty())) {
    return "the sidecar asks another server for it";
  }
  if (reply.rcode.empty()) return fmt::format("the Corefile's {} gives no answer", reply.by);
  return reply.by.empty() ? "no directive of the Corefile answers it"
                          : fmt::format("the Corefile's {} says so", reply.by);
}

class Asking {
 public:
  explicit Asking(SidecarDns& dns) : dns_(dns) {}

  bool full() const { return out_.truncated || asked_ >= kMostQuestions; }

  SidecarDns::Reply Ask(const std::string& name, uint16_t type) {
    if (full()) {
      out_.truncated = true;
      return {};
    }
    ++asked_;
    SidecarDns::Reply reply = dns_.Ask(name, type);
    for (const SidecarDns::Record& record : reply.answers) {
      if (!seen_.insert(record).second) continue;
      if (out_.records.size() == NameRecords::kMost) {
        out_.truncated = true;
        break;
      }
      out_.records.push_back(record);
    }
    return reply;
  }

  // Of the name itself, which has to be answered one way or the other.
  void AskAddress(const Service& service, const std::string& name, uint16_t type) {
    const SidecarDns::Reply reply = Ask(name, type);
    const std::string_view word = type == rr::kA ? "A" : "AAAA";
    if (!reply.answers.empty() && reply.answers.back().type == word) return;
    std::string answer = reply.rcode;
    if (answer == "NOERROR") answer = reply.answers.empty() ? "NODATA" : "CNAME";
    out_.missing.push_back(
        {name, std::string(word), std::move(answer), WhyMissing(service, type, reply)});
  }

  NameRecords Take() && { return std::move(out_); }

 private:
  SidecarDns& dns_;
  absl::btree_set<SidecarDns::Record> seen_;
  size_t asked_ = 0;
  NameRecords out_;
};

// "_http._tcp" of each named port of the Service or its endpoints.
std::set<std::string> NamedPorts(const Service& service, const SliceSet* slices) {
  std::set<std::string> ports;
  const auto add = [&](const auto& port) {
    if (port.name.empty()) return;
    ports.insert(fmt::format("_{}._{}", port.name, dns::ProtocolText(port.protocol)));
  };
  std::for_each(service.ports.begin(), service.ports.end(), add);
  if (slices == nullptr || !service.headless) return ports;
  for (const auto& [name, slice] : *slices) {
    std::for_each(slice->ports.begin(), slice->ports.end(), add);
  }
  return ports;
}

// What an endpoint may be called; which of them it is, the Corefile says.
std::vector<std::string> LabelsOf(const Endpoint& endpoint) {
  std::vector<std::string> labels;
  if (!endpoint.hostname.empty()) labels.push_back(endpoint.hostname);
  labels.push_back(dns::DashedAddress(endpoint.addresses.front()));
  if (!endpoint.pod.name.empty()) labels.push_back(endpoint.pod.name);
  return labels;
}

void AskEndpoints(Asking& asking, const std::string& name, const SliceSet* slices) {
  absl::flat_hash_set<std::string> asked;
  ForEachPublished(slices, [&](const Endpoint& endpoint) {
    const uint16_t type = endpoint.addresses.front().is_v4() ? rr::kA : rr::kAaaa;
    for (const std::string& label : LabelsOf(endpoint)) {
      if (asking.full()) return;
      if (!asked.insert(fmt::format("{} {}", label, type)).second) continue;
      asking.Ask(fmt::format("{}.{}", label, name), type);
    }
  });
}

}  // namespace

void HoldNames(SidecarDns& dns, const Snapshot& snapshot, const AddressIndex& addresses,
               const std::vector<std::string>& names, std::string_view cluster_domain) {
  Directory directory;
  Part part(directory, snapshot, addresses, cluster_domain);
  Addresses reversed;
  for (const std::string& name : names) {
    part.AddTarget(name);
    if (const auto shadow = dns.FindShadow(name)) part.AddTarget(shadow->renamed);
    if (const auto address = AddressOfReverse(name)) reversed.insert(*address);
  }
  part.AddServicesAt(reversed);
  dns.Hold(directory.Commit());
}

nlohmann::json RecordsJson(const std::vector<SidecarDns::Record>& records) {
  nlohmann::json list = nlohmann::json::array();
  for (const SidecarDns::Record& record : records) {
    list.push_back(
        {{"name", record.name}, {"type", record.type}, {"ttl", record.ttl}, {"data", record.data}});
  }
  return list;
}

NameRecords RecordsOf(SidecarDns& dns, const Snapshot& snapshot, const AddressIndex& addresses,
                      const Service& service, std::string_view cluster_domain) {
  const std::string name = DnsName(service.name, cluster_domain) + ".";
  const SliceSet* slices = snapshot.FindSlices(service.name.ToString());
  const bool has_endpoints = service.type != ServiceType::kExternalName;

  Addresses endpoints;
  if (has_endpoints) {
    ForEachPublished(slices, [&](const Endpoint& endpoint) {
      if (endpoints.size() < NameRecords::kMost) endpoints.insert(endpoint.addresses.front());
    });
  }
  Directory directory;
  Part part(directory, snapshot, addresses, cluster_domain);
  part.Add(service);
  part.AddTarget(name);
  if (const auto shadow = dns.FindShadow(name)) part.AddTarget(shadow->renamed);
  part.AddServicesAt(endpoints);
  dns.Hold(directory.Commit());

  Asking asking(dns);
  asking.AskAddress(service, name, rr::kA);
  asking.AskAddress(service, name, rr::kAaaa);
  if (!has_endpoints) asking.Ask(name, rr::kCname);
  for (const std::string& port : NamedPorts(service, slices)) {
    asking.Ask(fmt::format("{}.{}", port, name), rr::kSrv);
  }
  for (const IpAddress& ip : service.cluster_ips) asking.Ask(dns::wire::ReverseName(ip), rr::kPtr);
  if (has_endpoints && service.headless) AskEndpoints(asking, name, slices);
  std::set<IpAddress> sorted(endpoints.begin(), endpoints.end());
  for (const IpAddress& ip : sorted) asking.Ask(dns::wire::ReverseName(ip), rr::kPtr);
  return std::move(asking).Take();
}

}  // namespace portolan::xds
