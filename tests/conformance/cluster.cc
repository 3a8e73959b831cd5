#include "tests/conformance/cluster.h"

#include <map>

namespace portolan::dns::test {
namespace {

using nlohmann::json;

ObjectName NameOf(const json& object) {
  const json& metadata = object["metadata"];
  return {metadata.value("namespace", ""), metadata["name"]};
}

Protocol ProtocolOf(const json& port) {
  const std::string protocol = port.value("protocol", "TCP");
  return protocol == "UDP" ? Protocol::kUdp : protocol == "SCTP" ? Protocol::kSctp : Protocol::kTcp;
}

LabelMap LabelsOf(const json& object) {
  // json keeps keys sorted.
  const auto labels = object["metadata"].value("labels", std::map<std::string, std::string>());
  return {labels.begin(), labels.end()};
}

std::vector<ServicePort> PortsOf(const json& spec) {
  std::vector<ServicePort> ports;
  for (const json& port : spec.value("ports", json::array())) {
    ports.push_back({port.value("name", ""), ProtocolOf(port), port["port"]});
  }
  return ports;
}

Service ReadService(const json& object) {
  const json& spec = object["spec"];
  Service service;
  service.labels = LabelsOf(object);
  for (ServicePort& port : PortsOf(spec)) service.ports.push_back(std::move(port));
  service.name = NameOf(object);
  if (spec.value("type", "ClusterIP") == "ExternalName") service.type = ServiceType::kExternalName;
  service.headless = spec.value("clusterIP", "") == "None";
  ServiceExtras extras;
  extras.external_name = spec.value("externalName", "");
  for (const json& ip : spec.value("clusterIPs", json::array())) {
    if (ip != "None") service.cluster_ips.push_back(*IpAddress::Parse(ip.get<std::string>()));
  }
  for (const json& ip : spec.value("externalIPs", json::array())) {
    extras.external_ips.push_back(*IpAddress::Parse(ip.get<std::string>()));
  }
  service.extras = std::move(extras);
  return service;
}

ServiceImport ReadServiceImport(const json& object) {
  const json& spec = object["spec"];
  ServiceImport import;
  import.name = NameOf(object);
  import.headless = spec.value("type", "") == "Headless";
  for (const json& ip : spec.value("ips", json::array())) {
    import.ips.push_back(*IpAddress::Parse(ip.get<std::string>()));
  }
  import.ports = PortsOf(spec);
  return import;
}

// Who has the addresses of a pod: nobody else, and nobody once it is finished.
void PutOwners(const json& object, Directory& directory) {
  const std::string phase = object["status"].value("phase", "");
  if (phase == "Succeeded" || phase == "Failed" || object["spec"].value("hostNetwork", false)) {
    return;
  }
  for (const json& ip : object["status"].value("podIPs", json::array())) {
    directory.Put(AddressOwner{*IpAddress::Parse(ip["ip"].get<std::string>()), NameOf(object)});
  }
}

EndpointSlice ReadSlice(const json& object) {
  EndpointSlice slice;
  slice.name = NameOf(object);
  slice.service = object["metadata"]["labels"].value("kubernetes.io/service-name", "");
  slice.family = object["addressType"] == "IPv6" ? IpFamily::kIpv6 : IpFamily::kIpv4;
  for (const json& port : object.value("ports", json::array())) {
    slice.ports.push_back(
        {port.value("name", ""), ProtocolOf(port), port.value("port", uint16_t{})});
  }
  for (const json& from : object["endpoints"]) {
    Endpoint endpoint;
    for (const json& ip : from["addresses"]) {
      endpoint.addresses.push_back(*IpAddress::Parse(ip.get<std::string>()));
    }
    endpoint.hostname = from.value("hostname", "");
    endpoint.zone = from.value("zone", "");
    const json target = from.value("targetRef", json::object());
    if (target.value("kind", "") == "Pod") {
      endpoint.pod = {target.value("namespace", slice.name.ns), target["name"]};
    }
    const json conditions = from.value("conditions", json::object());
    endpoint.conditions.ready = conditions.value("ready", true);
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

// A slice may belong to a Service and to a ServiceImport.
void PutSlices(const json& object, Directory& directory) {
  EndpointSlice slice = ReadSlice(object);
  const json& labels = object["metadata"]["labels"];
  if (!slice.service.empty()) directory.Put(slice);
  slice.service = labels.value("multicluster.kubernetes.io/service-name", "");
  if (slice.service.empty()) return;
  slice.imported = true;
  slice.source_cluster = labels.value("multicluster.kubernetes.io/source-cluster", "");
  directory.Put(std::move(slice));
}

}  // namespace

void PutObjects(const json& objects, Directory& directory) {
  for (const json& object : objects) {
    const std::string kind = object["kind"];
    if (kind == "Namespace") {
      directory.Put(Namespace{object["metadata"]["name"], LabelsOf(object), {}});
    } else if (kind == "Service") {
      directory.Put(ReadService(object));
    } else if (kind == "EndpointSlice" && object["addressType"] != "FQDN") {
      PutSlices(object, directory);
    } else if (kind == "ServiceImport") {
      directory.Put(ReadServiceImport(object));
    } else if (kind == "Pod") {
      PutOwners(object, directory);
    }
  }
}

}  // namespace portolan::dns::test
