#include "xds/api/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "common/status.h"
#include "tests/xds/api/samples.h"

namespace portolan::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::Service FullService() {
  v1::Service service;
  service.set_namespace_("default");
  service.set_name("backend");
  service.set_type(v1::LOAD_BALANCER);
  service.add_cluster_ips(Bytes("10.43.0.1"));
  service.add_cluster_ips(Bytes("fd00::1"));
  service.add_external_ips(Bytes("192.0.2.1"));
  service.add_load_balancer_ips(Bytes("192.0.2.2"));
  service.set_external_name("example.org");
  auto* port = service.add_ports();
  port->set_name("dns");
  port->set_protocol(v1::UDP);
  port->set_port(53);
  service.set_publish_not_ready_addresses(true);
  service.set_client_ip_affinity_seconds(600);
  service.set_internal_traffic_policy_local(true);
  service.set_traffic_distribution("PreferClose");
  (*service.mutable_labels())["app"] = "backend";
  (*service.mutable_annotations())["portolan.dev/x"] = "y";
  return service;
}

v1::Endpoints FullSlice() {
  v1::Endpoints endpoints;
  v1::EndpointSlice& slice = *endpoints.mutable_slice();
  slice.set_namespace_("default");
  slice.set_service("backend");
  slice.set_name("s");
  slice.set_ipv6(true);
  slice.add_ports()->set_name("all");
  v1::Endpoint& endpoint = *slice.add_endpoints();
  endpoint.set_address(Bytes("fd00::2"));
  endpoint.set_hostname("backend-0");
  endpoint.set_not_ready(true);
  endpoint.set_terminating(true);
  slice.set_node_suffix("ode-1.example");
  endpoint.set_node("n");
  slice.add_zones("a");
  slice.add_zones("b");
  endpoint.set_zone(1);
  endpoint.add_zone_hints(2);
  endpoint.add_node_hints("node-1");
  endpoint.set_pod_namespace("elsewhere");
  slice.set_pod_prefix("backend-");
  endpoint.set_pod_name("0");
  return endpoints;
}

v1::ServiceImport FullImport() {
  v1::ServiceImport import;
  import.set_namespace_("default");
  import.set_name("backend");
  import.add_ips(Bytes("10.96.1.1"));
  auto* port = import.add_ports();
  port->set_name("http");
  port->set_protocol(v1::UDP);
  port->set_port(80);
  *import.add_slices() = FullSlice().slice();
  import.mutable_slices(0)->set_source_cluster("c1");
  return import;
}

std::string ErrorOf(std::string_view type, const Resource& resource) {
  const auto parsed = ParseDirectoryResource(type, resource);
  return parsed.ok() ? "" : std::string(Message(parsed.status()));
}

std::string ErrorOf(const v1::Service& service) {
  return ErrorOf(kServiceType, MakeResource("default/backend", "1", service));
}
std::string ErrorOf(const v1::Endpoints& endpoints, const std::string& name = "default/backend/s") {
  return ErrorOf(kEndpointsType, MakeResource(name, "1", endpoints));
}

// The names of the fields that `message` does not set.
std::vector<std::string> UnsetFields(const google::protobuf::Message& message) {
  std::vector<std::string> unset;
  const auto& descriptor = *message.GetDescriptor();
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const auto* field = descriptor.field(i);
    const bool set = field->is_repeated() ? reflection.FieldSize(message, field) > 0
                                          : reflection.HasField(message, field);
    if (!set) unset.push_back(field->name());
  }
  return unset;
}

// What is added to the messages must be added to the samples, and so to both ways of the codec.
TEST(Codec, TheSamplesSetEveryFieldThatTheModelHolds) {
  EXPECT_THAT(UnsetFields(FullService()), ElementsAre("headless", "namespace_labels"));
  EXPECT_THAT(UnsetFields(FullSlice().slice()), ElementsAre("source_cluster"));
  EXPECT_THAT(UnsetFields(FullImport()), ElementsAre("headless"));
  EXPECT_THAT(UnsetFields(FullImport().slices(0)), IsEmpty());
  EXPECT_THAT(UnsetFields(FullSlice().slice().endpoints(0)), ElementsAre("not_serving"));
}

TEST(Codec, ANamespaceComesBackAsItWent) {
  v1::Namespace sent;
  sent.set_name("default");
  (*sent.mutable_labels())["team"] = "a";
  const auto parsed = ParseDirectoryResource(kNamespaceType, MakeResource("default", "1", sent));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(ToProto(std::get<Namespace>(*parsed)).DebugString(), sent.DebugString());
}

TEST(Codec, AHeadComesBackAsItWentAndOneOfNothingIsStillAHead) {
  for (const Resource& sent : {HeadResource("backend", "1", {{"s", "1"}, {"s#2", "7"}}),
                               HeadResource("backend", "1", {})}) {
    const auto parsed = ParseDirectoryResource(kEndpointsType, sent);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const v1::Endpoints again = ToProto(std::get<EndpointsHead>(*parsed));
    EXPECT_TRUE(again.has_head());
    EXPECT_EQ(again.SerializeAsString(), sent.resource().value());
  }
}

TEST(Codec, APieceCarriesItsOwnNameAndEndpoints) {
  EndpointSlice slice;
  slice.name = {"default", "s"};
  slice.service = "backend";
  slice.endpoints.resize(3);
  for (Endpoint& endpoint : slice.endpoints) endpoint.addresses = {*IpAddress::Parse("10.42.0.1")};
  slice.endpoints[2].hostname = "last";
  const v1::Endpoints piece = ToProto(slice, "s#2", std::span(slice.endpoints).subspan(2));
  const auto parsed =
      ParseDirectoryResource(kEndpointsType, MakeResource("default/backend/s#2", "1", piece));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto& read = std::get<EndpointSlice>(*parsed);
  EXPECT_EQ(read.name.name, "s#2");
  ASSERT_EQ(read.endpoints.size(), 1u);
  EXPECT_EQ(read.endpoints[0].hostname, "last");
}

TEST(Codec, AServiceComesBackAsItWent) {
  const v1::Service sent = FullService();
  const auto parsed =
      ParseDirectoryResource(kServiceType, MakeResource("default/backend", "1", sent));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(ToProto(std::get<Service>(*parsed)).DebugString(), sent.DebugString());
}

TEST(Codec, ASliceComesBackAsItWent) {
  const v1::Endpoints sent = FullSlice();
  const auto parsed =
      ParseDirectoryResource(kEndpointsType, MakeResource("default/backend/s", "1", sent));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto& slice = std::get<EndpointSlice>(*parsed);
  EXPECT_FALSE(slice.endpoints[0].conditions.ready);
  EXPECT_TRUE(slice.endpoints[0].conditions.serving);
  EXPECT_EQ(ToProto(slice).DebugString(), sent.DebugString());
}

TEST(Codec, AServiceImportComesBackAsItWentWithItsSlices) {
  v1::ServiceImport headless = FullImport();
  headless.set_headless(true);
  headless.clear_ips();
  for (const v1::ServiceImport& sent : {FullImport(), headless}) {
    const auto parsed =
        ParseDirectoryResource(kServiceImportType, MakeResource("default/backend", "1", sent));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const auto& service = std::get<ImportedService>(*parsed);
    SliceSet slices;
    for (const EndpointSlice& slice : service.slices) {
      EXPECT_TRUE(slice.imported);
      slices[slice.name.name] = std::make_shared<const EndpointSlice>(slice);
    }
    EXPECT_EQ(ToProto(service.import, &slices).DebugString(), sent.DebugString());
  }
}

TEST(Codec, AServiceImportCarriesNoMoreEndpointsThanFitAMessage) {
  EndpointSlice slice;
  slice.endpoints.resize(kMaxImportedEndpoints - 1);
  for (Endpoint& endpoint : slice.endpoints) endpoint.addresses = {*IpAddress::Parse("fd00::1")};
  const SliceSet slices = {{"a", std::make_shared<const EndpointSlice>(slice)},
                           {"b", std::make_shared<const EndpointSlice>(slice)}};
  const v1::ServiceImport import = ToProto(ServiceImport{}, &slices);
  EXPECT_EQ(import.slices(1).endpoints_size(), 1);
  EXPECT_LT(import.ByteSizeLong(), 4u << 20);
}

TEST(Codec, APodIsInTheNamespaceOfTheSliceUnlessItSaysAnother) {
  v1::Endpoints sent = FullSlice();
  sent.mutable_slice()->mutable_endpoints(0)->clear_pod_namespace();
  const auto parsed =
      ParseDirectoryResource(kEndpointsType, MakeResource("default/backend/s", "1", sent));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto& slice = std::get<EndpointSlice>(*parsed);
  EXPECT_EQ(slice.endpoints[0].pod, (ObjectName{"default", "backend-0"}));
  EXPECT_EQ(ToProto(slice).DebugString(), sent.DebugString());
}

TEST(Codec, WhatNamesOfASliceHaveInCommonIsSentOnce) {
  EndpointSlice slice;
  slice.name = {"default", "s"};
  slice.service = "backend";
  const std::vector<std::array<std::string, 2>> names = {
      {"n1.eu.example", "b-x1"}, {"", ""}, {"1.eu.example", "b-x"}, {"n2.eu.example", "b-x22"}};
  for (const auto& [node, pod] : names) {
    Endpoint& endpoint = slice.endpoints.emplace_back();
    endpoint.addresses = {*IpAddress::Parse("10.0.0.1")};
    endpoint.node_name = node;
    if (!pod.empty()) endpoint.pod = {"default", pod};
  }
  const v1::Endpoints sent = ToProto(slice);
  EXPECT_EQ(sent.slice().node_suffix(), ".eu.example");
  EXPECT_EQ(sent.slice().pod_prefix(), "b-");
  EXPECT_EQ(sent.slice().endpoints(2).node(), "1");
  EXPECT_EQ(sent.slice().endpoints(2).pod_name(), "x");
  const auto parsed =
      ParseDirectoryResource(kEndpointsType, MakeResource("default/backend/s", "1", sent));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  for (size_t i = 0; i < names.size(); ++i) {
    const Endpoint& endpoint = std::get<EndpointSlice>(*parsed).endpoints[i];
    EXPECT_EQ(endpoint.node_name, names[i][0]);
    EXPECT_EQ(endpoint.pod.name, names[i][1]);
  }
}

TEST(Codec, AZoneThatTheSliceDoesNotListIsRefused) {
  const auto error = [](const v1::Endpoints& slice) {
    return ErrorOf(kEndpointsType, MakeResource("default/backend/s", "1", slice));
  };
  v1::Endpoints slice = FullSlice();
  slice.mutable_slice()->mutable_endpoints(0)->set_zone(3);
  EXPECT_THAT(error(slice), HasSubstr("slice.endpoints[0].zone: 3 of 2 zones"));
  slice = FullSlice();
  for (int i = 0; i < 8; ++i) slice.mutable_slice()->mutable_endpoints(0)->add_zone_hints(1);
  EXPECT_THAT(error(slice), HasSubstr("slice.endpoints[0].zone_hints: more than 8"));
}

TEST(Codec, AServiceImportThatCannotBeIsRefusedByField) {
  const auto error = [](const v1::ServiceImport& import) {
    return ErrorOf(kServiceImportType, MakeResource("default/backend", "1", import));
  };
  EXPECT_EQ(error(FullImport()), "");
  v1::ServiceImport import = FullImport();
  import.set_headless(true);
  EXPECT_THAT(error(import), HasSubstr("ips: a headless"));
  import = FullImport();
  import.mutable_slices(0)->set_service("other");
  EXPECT_THAT(error(import), HasSubstr("slices[0]: slice.namespace, slice.service"));
  import = FullImport();
  import.mutable_slices(0)->set_source_cluster("a/b");
  EXPECT_THAT(error(import), HasSubstr("slices[0]: slice.source_cluster"));
  import = FullImport();
  import.mutable_slices(0)->clear_name();
  EXPECT_THAT(error(import), HasSubstr("slices[0]: slice.name: empty"));
  import = FullImport();
  import.set_name("other");
  EXPECT_THAT(error(import), HasSubstr("'default/other' is not the resource's name"));
}

TEST(Codec, AnAddressComesBackAsItWent) {
  const Resource sent = AddressResource("fd00::1", "backend-0");
  const auto parsed = ParseDirectoryResource(kAddressType, sent);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto& owner = std::get<AddressOwner>(*parsed);
  EXPECT_EQ(owner.ip, *IpAddress::Parse("fd00::1"));
  EXPECT_EQ(ToProto(owner).SerializeAsString(), sent.resource().value());
}

TEST(Codec, WhereThePodOfAnAddressRunsComesBackAsItWent) {
  const AddressOwner owner{.ip = *IpAddress::Parse("10.42.0.1"),
                           .pod = {"default", "a"},
                           .node = "node-a",
                           .zone = "zone-a"};
  const auto parsed =
      ParseDirectoryResource(kAddressType, MakeResource("10.42.0.1", "1", ToProto(owner)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(std::get<AddressOwner>(*parsed).node, "node-a");
  EXPECT_EQ(std::get<AddressOwner>(*parsed).zone, "zone-a");
  AddressOwner endless = owner;
  endless.zone.assign(300, 'z');
  EXPECT_THAT(ErrorOf(kAddressType, MakeResource("10.42.0.1", "1", ToProto(endless))),
              HasSubstr("pod.zone"));
}

TEST(Codec, AnAddressThatIsNoneOrHasNoOwnersNameIsRefused) {
  EXPECT_THAT(ErrorOf(kAddressType, AddressResource("backend", "a")), HasSubstr("name: not an IP"));
  EXPECT_THAT(ErrorOf(kAddressType, AddressResource("fd00:0::1", "a")),
              HasSubstr("name: not an IP"));
  EXPECT_THAT(ErrorOf(kAddressType, AddressResource("10.42.0.1", "")),
              HasSubstr("pod.name: empty"));
}

TEST(Codec, TheServicesOfAnAddressComeBackAsTheyWentWithOrWithoutAPod) {
  AddressOwner owner;
  owner.ip = *IpAddress::Parse("10.42.0.1");
  owner.pod = {"data", "db-0"};
  owner.services = {{{"data", "db-headless"}, true, {{"sql", Protocol::kTcp, 5432}}},
                    {{"data", "db"}, false, {{"", Protocol::kTcp, 0}}}};
  for (const ObjectName& pod : {owner.pod, ObjectName()}) {
    owner.pod = pod;
    const auto parsed =
        ParseDirectoryResource(kAddressType, MakeResource("10.42.0.1", "1", ToProto(owner)));
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(std::get<AddressOwner>(*parsed).pod, owner.pod);
    EXPECT_EQ(std::get<AddressOwner>(*parsed).services, owner.services);
  }
}

TEST(Codec, OfMoreServicesThanAnAddressHoldsTheFirstAreTaken) {
  v1::Address address;
  for (int i = 0; i < 10; ++i) {
    address.add_services()->set_namespace_("default");
    address.mutable_services(i)->set_name("s" + std::to_string(i));
  }
  const auto parsed = ParseDirectoryResource(kAddressType, MakeResource("10.42.0.1", "1", address));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto& services = std::get<AddressOwner>(*parsed).services;
  ASSERT_EQ(services.size(), AddressOwner::kMostServices);
  EXPECT_EQ(services[3].name.name, "s3");
}

TEST(Codec, AnAddressOfANamelessServiceIsRefused) {
  v1::Address address;
  address.add_services()->set_namespace_("default");
  EXPECT_THAT(ErrorOf(kAddressType, MakeResource("10.42.0.1", "1", address)),
              HasSubstr("services[0]: name: empty"));
  address.mutable_services(0)->set_name("a");
  address.mutable_services(0)->add_ports()->set_port(65536);
  EXPECT_THAT(ErrorOf(kAddressType, MakeResource("10.42.0.1", "1", address)),
              HasSubstr("services[0]: ports[0].port: 65536"));
}

TEST(Codec, AnOwnerThatIsNoPodIsNobody) {
  v1::Address address;
  address.mutable_service()->set_name("backend");
  const auto parsed = ParseDirectoryResource(kAddressType, MakeResource("10.43.0.1", "1", address));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(std::get<AddressOwner>(*parsed).pod, ObjectName{});
}

TEST(Codec, TheOriginTravelsBesideTheResource) {
  Resource resource = MakeResource("default/backend", "1", FullService());
  SetOrigin({absl::Cord("4711"), absl::FromUnixSeconds(1700000000), {}}, absl::InfinitePast(),
            resource);
  auto& fields = *(*resource.mutable_metadata()->mutable_filter_metadata())["portolan.dev/origin"]
                      .mutable_fields();
  const auto parsed = ParseDirectoryResource(kServiceType, resource);
  ASSERT_TRUE(parsed.ok());
  const Origin& origin = std::get<Service>(*parsed).origin;
  EXPECT_EQ(origin.resource_version, "4711");
  EXPECT_EQ(origin.arrived, absl::FromUnixSeconds(1700000000));
  fields["arrived_unix_ns"].set_number_value(1e300);
  EXPECT_TRUE(ParseDirectoryResource(kServiceType, resource).ok());
}

TEST(Codec, WhenWhatASliceFollowsChangedTravelsBesideIt) {
  EndpointSlice slice;
  slice.name = {"default", "backend-x"};
  slice.service = "backend";
  Resource resource = MakeResource("default/backend/backend-x", "1", ToProto(slice));
  const auto triggered = [&] {
    const auto parsed = ParseDirectoryResource(kEndpointsType, resource);
    return parsed.ok() ? std::get<EndpointSlice>(*parsed).triggered : absl::InfiniteFuture();
  };
  EXPECT_EQ(triggered(), absl::InfinitePast());
  SetOrigin({}, absl::FromUnixSeconds(1700000000), resource);
  EXPECT_EQ(triggered(), absl::FromUnixSeconds(1700000000));
}

TEST(Codec, AServiceThatCannotBeIsRefusedByField) {
  v1::Service service = FullService();
  service.add_external_ips("abc");
  EXPECT_THAT(ErrorOf(service), HasSubstr("'default/backend': external_ips[1]: 3 bytes"));
  service = FullService();
  service.mutable_ports(0)->set_port(65536);
  EXPECT_THAT(ErrorOf(service), HasSubstr("ports[0].port"));
  service.mutable_ports(0)->set_port(0);
  EXPECT_THAT(ErrorOf(service), HasSubstr("ports[0].port"));
  service = FullService();
  service.mutable_ports(0)->set_protocol(static_cast<v1::Protocol>(9));
  EXPECT_THAT(ErrorOf(service), HasSubstr("ports[0].protocol"));
  service = FullService();
  service.set_type(static_cast<v1::ServiceType>(9));
  EXPECT_THAT(ErrorOf(service), HasSubstr("type: 9"));
  service = FullService();
  service.set_headless(true);
  EXPECT_THAT(ErrorOf(service), HasSubstr("cluster_ips"));
  service = FullService();
  service.set_name("other");
  EXPECT_THAT(ErrorOf(service), HasSubstr("'default/other' is not the resource's name"));
  service.set_name(std::string(64, 'a'));
  EXPECT_THAT(ErrorOf(kServiceType, MakeResource("default/" + service.name(), "1", service)),
              HasSubstr("name: longer than 63"));
}

TEST(Codec, ASliceThatCannotBeIsRefusedByField) {
  v1::Endpoints endpoints = FullSlice();
  endpoints.mutable_slice()->mutable_endpoints(0)->set_address(Bytes("10.42.0.1"));
  EXPECT_THAT(ErrorOf(endpoints), HasSubstr("slice.endpoints[0].address: not of the slice's"));
  endpoints.mutable_slice()->mutable_endpoints(0)->clear_address();
  EXPECT_THAT(ErrorOf(endpoints), HasSubstr("slice.endpoints[0].address: 0 bytes"));
  EXPECT_THAT(ErrorOf(FullSlice(), "default/other/s"), HasSubstr("slice.service"));
  EXPECT_THAT(ErrorOf(FullSlice(), "default/backend/t"), HasSubstr("slice.name"));
  EXPECT_THAT(ErrorOf(FullSlice(), "default/backend"), HasSubstr("kind"));
  EXPECT_THAT(ErrorOf(FullSlice(), "backend"), HasSubstr("name: not NAMESPACE"));
  EXPECT_EQ(ErrorOf(FullSlice(), "default/backend/s"), "");
}

TEST(Codec, AHeadListsNamesOfSlices) {
  EXPECT_EQ(ErrorOf(kEndpointsType, HeadResource("backend", "1", {{"s#2", "1"}})), "");
  for (const char* name : {"", "default/backend/s"}) {
    EXPECT_THAT(ErrorOf(kEndpointsType, HeadResource("backend", "1", {{name, "1"}})),
                HasSubstr("head.slices[0].name"));
  }
}

TEST(Codec, AnotherTypeInTheEnvelopeIsRefused) {
  EXPECT_THAT(ErrorOf(kNamespaceType, ServiceResource("a", "10.43.0.1")),
              HasSubstr("cannot be read as portolan.v1.Namespace"));
  Resource garbage = ServiceResource("a", "10.43.0.1");
  garbage.mutable_resource()->set_value("\xff\xff\xff");
  EXPECT_THAT(ErrorOf(kServiceType, garbage), HasSubstr("'default/a': resource"));
}

}  // namespace
}  // namespace portolan::api
