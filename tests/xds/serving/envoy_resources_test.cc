// What third parties are told of a Service, in Envoy's words.
#include "xds/serving/envoy_resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "tests/xds/serving/services.h"

namespace portolan::xds {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kBackend[] = "backend.default.svc.cluster.local:8080";
constexpr EndpointConditions kNotReady = {.ready = false, .serving = false, .terminating = false};
constexpr EndpointConditions kLeaving = {.ready = false, .serving = true, .terminating = true};
constexpr EndpointConditions kGone = {.ready = false, .serving = false, .terminating = true};

class EnvoyResources : public ::testing::Test {
 protected:
  template <typename... T>
  void Put(T... objects) {
    (directory_.Put(objects), ...);
    directory_.Commit();
  }
  ResourcePtr Find(ResourceType type, std::string_view name) const {
    return EncodeEnvoyResource(type, name, names_, *directory_.snapshot());
  }
  // Through the bytes that delta clients get.
  template <typename T>
  T Get(ResourceType type, std::string_view name) const {
    T content;
    const ResourcePtr resource = Find(type, name);
    if (resource == nullptr) {
      ADD_FAILURE() << "no " << name;
      return content;
    }
    EXPECT_EQ(resource->name, name);
    envoy::service::discovery::v3::DeltaDiscoveryResponse response;
    EXPECT_TRUE(
        response.ParseFromArray(resource->wire.begin(), static_cast<int>(resource->wire.size())));
    EXPECT_TRUE(response.resources(0).resource().UnpackTo(&content));
    return content;
  }
  // "zone address:port HEALTH" of each endpoint.
  std::vector<std::string> Endpoints(std::string_view name) const {
    std::vector<std::string> all;
    const auto assignment = Get<ClusterLoadAssignment>(ResourceType::kLoadAssignment, name);
    for (const auto& locality : assignment.endpoints()) {
      EXPECT_EQ(locality.load_balancing_weight().value(),
                static_cast<uint32_t>(locality.lb_endpoints_size()));
      EXPECT_EQ(locality.priority(), 0u);
      for (const auto& one : locality.lb_endpoints()) {
        const auto& address = one.endpoint().address().socket_address();
        all.push_back(locality.locality().zone() + " " + address.address() + ":" +
                      std::to_string(address.port_value()) + " " +
                      envoy::config::core::v3::HealthStatus_Name(one.health_status()));
      }
    }
    return all;
  }

  Directory directory_;
  const EnvoyNames names_{"cluster.local"};
};

TEST_F(EnvoyResources, LeadFromAListenerOverARouteAndAClusterToEndpoints) {
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}}),
      MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 9090}},
                  {{"10.42.0.1", {}, "a"}, {"10.42.0.2", {}, "b"}, {"10.42.0.3", {}, "b"}}));
  const auto listener = Get<Listener>(ResourceType::kListener, kBackend);
  EXPECT_EQ(listener.name(), kBackend);
  EXPECT_FALSE(listener.has_address());
  HttpConnectionManager manager;
  ASSERT_TRUE(listener.api_listener().api_listener().UnpackTo(&manager));
  ASSERT_EQ(manager.http_filters_size(), 1);
  EXPECT_EQ(manager.http_filters(0).typed_config().type_url(),
            "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router");

  const auto route = Get<RouteConfiguration>(ResourceType::kRoute, kBackend);
  ASSERT_EQ(route.virtual_hosts_size(), 1);
  EXPECT_THAT(route.virtual_hosts(0).domains(), ElementsAre("*"));
  ASSERT_EQ(route.virtual_hosts(0).routes_size(), 1);
  const auto& all = route.virtual_hosts(0).routes(0);
  EXPECT_EQ(all.match().path_specifier_case(), envoy::config::route::v3::RouteMatch::kPrefix);
  EXPECT_EQ(all.route().cluster(), kBackend);
  EXPECT_TRUE(all.route().has_timeout());
  EXPECT_EQ(all.route().timeout().seconds(), 0);
  EXPECT_EQ(manager.route_config().SerializeAsString(), route.SerializeAsString());

  const auto cluster = Get<Cluster>(ResourceType::kCluster, kBackend);
  EXPECT_EQ(cluster.name(), kBackend);
  EXPECT_EQ(cluster.type(), Cluster::EDS);
  EXPECT_TRUE(cluster.eds_cluster_config().eds_config().has_ads());
  EXPECT_EQ(cluster.lb_policy(), Cluster::ROUND_ROBIN);

  EXPECT_THAT(Endpoints(kBackend),
              ElementsAre("a 10.42.0.1:9090 HEALTHY", "b 10.42.0.2:9090 HEALTHY",
                          "b 10.42.0.3:9090 HEALTHY"));
}

TEST_F(EnvoyResources, APortsNameLeadsToTheClusterOfItsNumber) {
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}, {"grpc2", 8081}}));
  constexpr char kNamed[] = "backend.default.svc.cluster.local:grpc2";
  EXPECT_EQ(Get<Listener>(ResourceType::kListener, kNamed).name(), kNamed);
  const auto route = Get<RouteConfiguration>(ResourceType::kRoute, kNamed);
  EXPECT_EQ(route.name(), kNamed);
  EXPECT_EQ(route.virtual_hosts(0).routes(0).route().cluster(),
            "backend.default.svc.cluster.local:8081");
  EXPECT_EQ(Find(ResourceType::kCluster, kNamed), nullptr);
  EXPECT_EQ(Find(ResourceType::kLoadAssignment, kNamed), nullptr);
}

TEST_F(EnvoyResources, EachSliceHasItsOwnTargetPort) {
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}}),
      MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 9090}}, {{"10.42.0.1"}}),
      MakeSliceOf("backend", "backend-2", {{"http", Protocol::kTcp, 9091}}, {{"10.42.0.2"}}),
      MakeSliceOf("backend", "backend-3", {{"http", Protocol::kUdp, 9092}}, {{"10.42.0.3"}}));
  EXPECT_THAT(Endpoints(kBackend),
              ElementsAre(" 10.42.0.1:9090 HEALTHY", " 10.42.0.2:9091 HEALTHY"));
}

TEST_F(EnvoyResources, EndpointsThatServeWhileTheyTerminateDrainAsLongAsOthersAreReady) {
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}}),
      MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 80}},
                  {{"10.42.0.1"},
                   {"10.42.0.2", kLeaving},
                   {"10.42.0.3", kNotReady},
                   {"10.42.0.4", kGone}}));
  EXPECT_THAT(Endpoints(kBackend), ElementsAre(" 10.42.0.1:80 HEALTHY", " 10.42.0.2:80 DRAINING"));
  Put(MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 80}},
                  {{"10.42.0.2", kLeaving}, {"10.42.0.3", kNotReady}}));
  EXPECT_THAT(Endpoints(kBackend), ElementsAre(" 10.42.0.2:80 HEALTHY"));
}

TEST_F(EnvoyResources, AnEndpointThatIsMovingBetweenSlicesIsListedOnce) {
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}}),
      MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 80}}, {{"10.42.0.1"}}),
      MakeSliceOf("backend", "backend-2", {{"http", Protocol::kTcp, 80}}, {{"10.42.0.1"}}));
  EXPECT_THAT(Endpoints(kBackend), ElementsAre(" 10.42.0.1:80 HEALTHY"));
}

TEST_F(EnvoyResources, AZoneOfTwoRegionsIsTwoLocalities) {
  EndpointSlice slice = MakeSliceOf("backend", "backend-1", {{"http", Protocol::kTcp, 80}},
                                    {{"10.42.0.1", {}, "a"}, {"10.42.0.2", {}, "a"}});
  slice.endpoints[0].node_name = "node-1";
  slice.endpoints[1].node_name = "node-2";
  Node node;
  node.name = "node-2";
  node.region = "eu";
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}}), slice, node);
  const auto assignment = Get<ClusterLoadAssignment>(ResourceType::kLoadAssignment, kBackend);
  ASSERT_EQ(assignment.endpoints_size(), 2);
  EXPECT_EQ(assignment.endpoints(0).locality().region(), "");
  EXPECT_EQ(assignment.endpoints(1).locality().region(), "eu");
  EXPECT_EQ(assignment.endpoints(1).locality().zone(), "a");
}

TEST_F(EnvoyResources, ADualStackPodCountsOnceInTheFamilyOfTheFirstClusterIp) {
  Service service = MakeClusterIpService("backend", "fd43::1", {{"http", 8080}});
  service.cluster_ips.push_back(*IpAddress::Parse("10.43.0.123"));
  Put(service, MakeSliceOf("backend", "backend-4", {{"http", Protocol::kTcp, 80}}, {{"10.42.0.1"}}),
      MakeSliceOf("backend", "backend-6", {{"http", Protocol::kTcp, 80}}, {{"fd42::1"}}));
  EXPECT_THAT(Endpoints(kBackend), ElementsAre(" fd42::1:80 HEALTHY"));
}

TEST_F(EnvoyResources, AHeadlessServiceIsServedToo) {
  Service service = MakeClusterIpService("backend", "10.43.0.123", {{"", 8080}});
  service.headless = true;
  service.cluster_ips.clear();
  Put(service, MakeSliceOf("backend", "backend-6", {{"", Protocol::kTcp, 8080}}, {{"fd42::1"}}));
  EXPECT_THAT(Endpoints(kBackend), ElementsAre(" fd42::1:8080 HEALTHY"));
  EXPECT_THAT(names_.NamesOf(ResourceType::kListener, service),
              ElementsAre(::testing::Pair(kBackend, kBackend)));
}

TEST_F(EnvoyResources, AServiceWithoutEndpointsHasAnEmptyAssignment) {
  Put(MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}}));
  const auto assignment = Get<ClusterLoadAssignment>(ResourceType::kLoadAssignment, kBackend);
  EXPECT_EQ(assignment.cluster_name(), kBackend);
  EXPECT_EQ(assignment.endpoints_size(), 0);
}

TEST_F(EnvoyResources, AClusterIpHasATcpListenerThatBindsNothing) {
  Service service = MakeClusterIpService("backend", "10.43.0.123", {{"http", 8080}});
  service.cluster_ips.push_back(*IpAddress::Parse("fd43::123"));
  Put(service);
  for (const char* name : {"10.43.0.123:8080", "[fd43::123]:8080"}) {
    const auto listener = Get<Listener>(ResourceType::kListener, name);
    EXPECT_EQ(listener.name(), name);
    EXPECT_EQ(listener.address().socket_address().port_value(), 8080u);
    EXPECT_TRUE(listener.has_bind_to_port());
    EXPECT_FALSE(listener.bind_to_port().value());
    EXPECT_FALSE(listener.has_api_listener());
    TcpProxy proxy;
    ASSERT_TRUE(listener.filter_chains(0).filters(0).typed_config().UnpackTo(&proxy));
    EXPECT_EQ(proxy.cluster(), kBackend);
  }
}

TEST_F(EnvoyResources, NamesThatLeadNowhereHaveNone) {
  Service external = MakeClusterIpService("external", "10.43.0.9", {{"http", 80}});
  external.type = ServiceType::kExternalName;
  external.cluster_ips.clear();
  Service udp = MakeClusterIpService("dns", "10.43.0.10", {});
  udp.ports = {{"dns", Protocol::kUdp, 53}};
  Service exposed = MakeClusterIpService("exposed", "10.43.0.11", {{"", 80}});
  ServiceExtras extras;
  extras.external_ips = {*IpAddress::Parse("192.0.2.1")};
  exposed.extras = std::move(extras);
  Put(external, udp, exposed);
  for (const char* name :
       {"external.default.svc.cluster.local:80", "external.default.svc.cluster.local:http",
        "dns.default.svc.cluster.local:53", "dns.default.svc.cluster.local:dns", "10.43.0.10:53",
        "192.0.2.1:80", "exposed.default.svc.cluster.local:", "exposed.default.svc.cluster.local",
        "exposed.default.svc.cluster.local:080", "exposed.default.svc.cluster.local:81",
        "exposed.svc.cluster.local:80", "exposed.other.svc.cluster.local:80",
        "exposed.default.svc.cluster.example:80", "010.43.0.11:80", "10.43.0.11:080", "", ":",
        "*"}) {
    for (const ResourceType type : {ResourceType::kListener, ResourceType::kRoute,
                                    ResourceType::kCluster, ResourceType::kLoadAssignment}) {
      EXPECT_EQ(Find(type, name), nullptr) << name;
    }
  }
  EXPECT_NE(Find(ResourceType::kListener, "exposed.default.svc.cluster.local:80"), nullptr);
}

TEST_F(EnvoyResources, AWildcardCoversClusterIpListenersAndWhatGoesByANumber) {
  const Service service =
      MakeClusterIpService("backend", "10.43.0.123", {{"http2", 8080}, {"grpc", 81}});
  const auto covered = [&](ResourceType type) {
    std::vector<std::string> names;
    for (const auto& [name, cluster] : names_.NamesOf(type, service)) {
      if (InWildcard(type, name)) names.push_back(name);
    }
    return names;
  };
  EXPECT_THAT(covered(ResourceType::kListener),
              UnorderedElementsAre("10.43.0.123:8080", "10.43.0.123:81"));
  for (const ResourceType type :
       {ResourceType::kRoute, ResourceType::kCluster, ResourceType::kLoadAssignment}) {
    EXPECT_THAT(covered(type),
                UnorderedElementsAre(kBackend, "backend.default.svc.cluster.local:81"));
  }
}

}  // namespace
}  // namespace portolan::xds
