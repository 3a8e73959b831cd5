// Objects as a real API server has them, through the same rules as manifests.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/kubernetes/list_reader.h"
#include "common/kubernetes/watch_stream.h"
#include "directory/listing.h"
#include "tests/kubernetes/recordings.h"
#include "xds/sources/into_directory.h"
#include "xds/sources/kubernetes/object_fields.h"
#include "xds/sources/objects.h"

namespace portolan::xds {
namespace {

using test::Lines;
using test::Recording;
using ::testing::ElementsAre;
using ::testing::SizeIs;

std::vector<Object> Read(std::string text, KnownKind kind, const std::vector<WantedField>& wanted) {
  JsonReader reader;
  const auto value = reader.Read(text, wanted);
  EXPECT_TRUE(value.ok()) << value.status();
  if (!value.ok()) return {};
  FieldErrors errors;
  const Field object(**value, errors);
  std::vector<Object> objects = ReadObjects(object, kind, {});
  EXPECT_TRUE(errors.ok()) << text << ": " << errors.first().path << " " << errors.first().what;
  return objects;
}

std::vector<std::string> Items(const std::string& list) {
  std::vector<std::string> items;
  ListReader reader;
  EXPECT_TRUE(reader.Take(Recording(list), [&](std::string& item) { items.push_back(item); }).ok());
  return items;
}

// The objects of a recorded watch.
std::vector<std::string> Objects(const std::string& watch) {
  std::vector<std::string> objects;
  for (const std::string& line : Lines(Recording(watch))) {
    const size_t begin = line.find("\"object\":");
    if (line.find("BOOKMARK") == std::string::npos) {
      objects.push_back(line.substr(begin + 9, line.size() - begin - 10));
    }
  }
  return objects;
}

// All that the directory holds of an object, as text.
std::string Describe(Object object) {
  struct Visitor {
    std::string operator()(const Namespace& ns) const { return Labels(ns.labels) + ns.name; }
    std::string operator()(const ServiceImport& import) const { return import.name.ToString(); }
    std::string operator()(const Pod& pod) const {
      std::string text = fmt::format("{} {} {} {}{}{} {}", pod.name.ToString(), pod.node_name,
                                     Labels(pod.labels), pod.terminating, pod.host_network,
                                     pod.finished, absl::FormatTime(pod.created));
      for (const IpAddress& ip : pod.ips) text += " " + ip.ToString();
      for (const ContainerPort& port : *pod.named_ports) {
        text += fmt::format(" {}={}", port.name, port.port);
      }
      return text;
    }
    std::string operator()(const Node& node) const {
      std::string text = node.name + " " + node.zone + " " + node.region;
      for (const Cidr& cidr : node.pod_cidrs) text += " " + cidr.ToString();
      for (const IpAddress& ip : node.internal_ips) text += " " + ip.ToString();
      return text;
    }
    std::string operator()(const ServiceCidr& range) const {
      std::string text = range.name;
      for (const Cidr& cidr : range.cidrs) text += " " + cidr.ToString();
      return text;
    }
    std::string operator()(const NetworkPolicy& policy) const {
      return fmt::format("{} {} {} {}{}", policy.name.ToString(), policy.ingress.size(),
                         policy.egress.size(), policy.for_ingress, policy.for_egress);
    }
    std::string operator()(const DnsEgressPolicy& policy) const {
      return fmt::format("{} {} {} {}", policy.Key(), policy.rules.size(), policy.default_deny,
                         policy.audit);
    }
    std::string operator()(const Service& service) const {
      Directory directory;
      directory.Put(service);
      const auto snapshot = directory.Commit().snapshot;
      return ServiceDetailJson(*snapshot, *snapshot->FindService(service.name.ToString()), "x")
          .dump();
    }
    std::string operator()(const EndpointSlice& slice) const {
      const SliceSet set = {{slice.name.name, std::make_shared<const EndpointSlice>(slice)}};
      return SlicesJson(&set).dump() + std::string(absl::FormatTime(slice.triggered)) +
             slice.service;
    }
    static std::string Labels(const LabelMap& labels) {
      std::string text;
      for (const auto& [key, value] : labels) text += fmt::format("{}={},", key, value);
      return text;
    }
  };
  return std::visit(Visitor(), object);
}

TEST(RecordedObjects, NothingThatCountsIsLeftOut) {
  for (const auto& [name, kind] : {std::pair{"watches/01-services.ndjson", KnownKind::kService},
                                   {"watches/02-endpointslices.ndjson", KnownKind::kEndpointSlice},
                                   {"watches/04-namespaces.ndjson", KnownKind::kNamespace},
                                   {"watches/05-nodes.ndjson", KnownKind::kNode},
                                   {"watches/06-networkpolicies.ndjson", KnownKind::kNetworkPolicy},
                                   {"watches/08-pods-of-one-node.ndjson", KnownKind::kPod}}) {
    for (const std::string& text : Objects(name)) {
      const auto all = Read(text, kind, {}), wanted = Read(text, kind, ObjectFields());
      ASSERT_EQ(all.size(), wanted.size());
      for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(Describe(all[i]), Describe(wanted[i])) << text;
      }
    }
  }
}

TEST(RecordedObjects, AServiceIsReadThroughAllItsTypes) {
  std::vector<std::pair<ServiceType, size_t>> legacy;  // and how many cluster IPs
  for (const std::string& text : Objects("watches/01-services.ndjson")) {
    const auto service = std::get<Service>(Read(text, KnownKind::kService, ObjectFields())[0]);
    if (service.name.name == "legacy") {
      legacy.emplace_back(service.type, service.cluster_ips.size());
    }
  }
  using T = ServiceType;
  EXPECT_THAT(legacy, ElementsAre(std::pair{T::kExternalName, 0}, std::pair{T::kExternalName, 0},
                                  std::pair{T::kClusterIp, 1}, std::pair{T::kExternalName, 0},
                                  std::pair{T::kExternalName, 0}));
}

TEST(RecordedObjects, ASliceKnowsWhatTriggeredIt) {
  size_t triggered = 0;
  for (const std::string& text : Objects("watches/02-endpointslices.ndjson")) {
    for (const Object& object : Read(text, KnownKind::kEndpointSlice, ObjectFields())) {
      const auto& slice = std::get<EndpointSlice>(object);
      triggered += slice.triggered > absl::FromUnixSeconds(1'700'000'000);
      // Made by hand or mirrored: no controller wrote a time.
      if (slice.service != "manual") continue;
      EXPECT_EQ(slice.triggered, absl::InfinitePast());
    }
  }
  EXPECT_EQ(triggered, 40u);
}

TEST(RecordedObjects, ATriggerTimeThatIsNoneDoesNotSpoilTheSlice) {
  const auto objects = Read(
      R"({"metadata":{"name":"a","annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"soon"}},
          "addressType":"IPv4","endpoints":null,"ports":null})",
      KnownKind::kEndpointSlice, ObjectFields());
  ASSERT_THAT(objects, SizeIs(1));
  EXPECT_EQ(std::get<EndpointSlice>(objects[0]).triggered, absl::InfinitePast());
}

TEST(RecordedObjects, NodesHaveZonesAndAddressesAndServiceRangesTheirBlocks) {
  const auto items = Items("lists/031-list-nodes.json");
  ASSERT_FALSE(items.empty());
  const auto node = std::get<Node>(Read(items[0], KnownKind::kNode, ObjectFields())[0]);
  EXPECT_EQ(node.name, "node-1");
  EXPECT_EQ(node.zone, "zone-b");
  EXPECT_EQ(node.region, "harbour-1");
  EXPECT_THAT(node.internal_ips,
              ElementsAre(*IpAddress::Parse("192.0.2.11"), *IpAddress::Parse("2001:db8::11")));

  const auto ranges = Items("lists/079-list-servicecidrs-two.json");
  ASSERT_THAT(ranges, SizeIs(2));
  const auto range =
      std::get<ServiceCidr>(Read(ranges[0], KnownKind::kServiceCidr, ObjectFields())[0]);
  EXPECT_EQ(range.name, "kubernetes");
  EXPECT_THAT(range.cidrs,
              ElementsAre(*Cidr::Parse("10.96.0.0/16"), *Cidr::Parse("fd00:10:96::/112")));
}

TEST(RecordedObjects, ANetworkPolicyIsReadAsItWasWritten) {
  const auto items = Items("lists/036-list-networkpolicies.json");
  ASSERT_FALSE(items.empty());
  const auto policy =
      std::get<NetworkPolicy>(Read(items[0], KnownKind::kNetworkPolicy, ObjectFields())[0]);
  EXPECT_EQ(policy.name.ToString(), "team-1/allow-3");
  EXPECT_TRUE(policy.for_ingress && policy.for_egress);
  EXPECT_EQ(policy.pods, (ObjectSelector{{{"app", "web"}}, {}}));
  ASSERT_THAT(policy.ingress, SizeIs(1));
  EXPECT_THAT(policy.ingress[0].ports, ElementsAre(NetworkPolicyPort{Protocol::kTcp, 8080, 0, ""}));
  ASSERT_THAT(policy.ingress[0].peers, SizeIs(1));
  EXPECT_EQ(policy.ingress[0].peers[0].namespaces,
            (ObjectSelector{{{"kubernetes.io/metadata.name", "team-1"}}, {}}));
  EXPECT_FALSE(policy.ingress[0].peers[0].pods.has_value());
  ASSERT_THAT(policy.egress, SizeIs(2));
  EXPECT_THAT(policy.egress[0].ports,
              ElementsAre(NetworkPolicyPort{Protocol::kUdp, 53, 0, ""},
                          NetworkPolicyPort{Protocol::kTcp, 8000, 8999, ""}));
  EXPECT_EQ(policy.egress[0].peers[0].block,
            (IpBlock{*Cidr::Parse("10.0.0.0/8"), {*Cidr::Parse("10.1.0.0/16")}}));
  EXPECT_THAT(policy.egress[1].ports, ElementsAre(NetworkPolicyPort{Protocol::kTcp, 0, 0, "http"}));
  const auto& pods = policy.egress[1].peers[0].pods;
  ASSERT_TRUE(pods.has_value());
  EXPECT_THAT(pods->match_expressions,
              ElementsAre(LabelRequirement{"app", LabelRequirement::Operator::kIn, {"db"}}));
}

}  // namespace
}  // namespace portolan::xds
