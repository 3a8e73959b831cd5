#include "tests/conformance/cluster.h"

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

Service ReadService(const json& object) {
  const json& spec = object["spec"];
  Service service;
  service.name = NameOf(object);
  if (spec.value("type", "ClusterIP") == "ExternalName") service.type = ServiceType::kExternalName;
  service.headless = spec.value("clusterIP", "") == "None";
  service.external_name = spec.value("externalName", "");
  for (const json& ip : spec.value("clusterIPs", json::array())) {
    if (ip != "None") service.cluster_ips.push_back(*IpAddress::Parse(ip.get<std::string>()));
  }
  for (const json& ip : spec.value("externalIPs", json::array())) {
    service.external_ips.push_back(*IpAddress::Parse(ip.get<std::string>()));
  }
  for (const json& port : spec.value("ports", json::array())) {
    service.ports.push_back({port.value("name", ""), ProtocolOf(port), port["port"]});
  }
  return service;
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
    const json conditions = from.value("conditions", json::object());
    endpoint.conditions.ready = conditions.value("ready", true);
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

}  // namespace

void PutObjects(const json& objects, Directory& directory) {
  for (const json& object : objects) {
    const std::string kind = object["kind"];
    if (kind == "Namespace") {
      directory.Put(Namespace{object["metadata"]["name"], {}, {}});
    } else if (kind == "Service") {
      directory.Put(ReadService(object));
    } else if (kind == "EndpointSlice" && object["addressType"] != "FQDN") {
      directory.Put(ReadSlice(object));
    }
  }
}

}  // namespace portolan::dns::test
