#include "proxy/own_dialling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }
SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

const dns::UpstreamAddress kDns{At("10.43.0.10:53")};

class OwnDiallingTest : public testing::Test {
 protected:
  void PutService(const std::string& ns, const std::string& name, const char* ip,
                  ServicePort port) {
    Service service;
    service.name = {ns, name};
    service.cluster_ips = {Ip(ip)};
    service.ports = {std::move(port)};
    directory_.Put(service);
  }
  void PutEndpoints(const std::string& ns, const std::string& service,
                    const std::vector<std::string>& ips, EndpointPort port) {
    EndpointSlice slice;
    slice.name = {ns, service + "-1"};
    slice.service = service;
    slice.ports = {std::move(port)};
    for (const std::string& ip : ips) slice.endpoints.emplace_back().addresses = {Ip(ip)};
    directory_.Put(slice);
  }
  void Commit(OwnDialling& dialling) {
    dialling.SetRoutes(routes_.Apply(directory_.Commit(), EndpointsHeld::kSome));
  }
  void PutClusterDns(const std::vector<std::string>& ips) {
    PutService("kube-system", "kube-dns", "10.43.0.10", {"dns", Protocol::kUdp, 53});
    PutEndpoints("kube-system", "kube-dns", ips, {"dns", Protocol::kUdp, 5353});
  }
  static OwnDialling Make(OwnDialling::Options options = {}) {
    options.cluster_domain = "cluster.local";
    return OwnDialling(std::move(options));
  }

  Directory directory_{Directory::Slices::kOfThoseAskedFor};
  RouteTableBuilder routes_;
};

TEST_F(OwnDiallingTest, ANameserverThatIsAServiceIsAskedByItsEndpointsOnceTheyAreHeld) {
  OwnDialling dialling = Make();
  dialling.SetUpstreams({kDns.address, At("192.0.2.53:53")}, {});
  EXPECT_THAT(dialling.upstreams(), IsEmpty()) << "nothing is known: as it is";
  PutService("kube-system", "kube-dns", "10.43.0.10", {"dns", Protocol::kUdp, 53});
  Commit(dialling);
  EXPECT_THAT(dialling.upstreams(), IsEmpty());
  EXPECT_THAT(dialling.Services(), ElementsAre("kube-system/kube-dns"));
  PutClusterDns({"10.42.0.3", "10.42.0.4"});
  Commit(dialling);
  ASSERT_THAT(dialling.upstreams(), SizeIs(1));
  EXPECT_THAT(dialling.upstreams().at(kDns),
              ElementsAre(At("10.42.0.3:5353"), At("10.42.0.4:5353")));
  EXPECT_EQ(dialling.Dump()["10.43.0.10:53"]["source"], "directory");
}

TEST_F(OwnDiallingTest, TheEndpointsOfTheFlagServeTheNameserversUntilTheDirectoryKnowsThem) {
  OwnDialling dialling = Make({.cluster_dns = {At("10.42.0.9:53")}});
  const dns::UpstreamAddress other{At("10.43.0.11:53")};
  dialling.SetUpstreams({kDns.address}, {other});
  EXPECT_THAT(dialling.upstreams().at(kDns), ElementsAre(At("10.42.0.9:53")));
  EXPECT_FALSE(dialling.upstreams().contains(other)) << "that is not one of resolv.conf";
  PutService("kube-system", "kube-dns", "10.43.0.10", {"dns", Protocol::kUdp, 53});
  Commit(dialling);
  EXPECT_THAT(dialling.upstreams().at(kDns), ElementsAre(At("10.42.0.9:53")))
      << "endpoints unknown";
  PutClusterDns({"10.42.0.3"});
  Commit(dialling);
  EXPECT_THAT(dialling.upstreams().at(kDns), ElementsAre(At("10.42.0.3:5353")));
}

TEST_F(OwnDiallingTest, ANameserverThatTheDirectoryKnowsForNoServiceIsAskedAsItIs) {
  OwnDialling dialling = Make({.cluster_dns = {At("10.42.0.9:53")}});
  dialling.SetUpstreams({At("169.254.20.10:53")}, {});
  EXPECT_THAT(dialling.upstreams(), SizeIs(1));
  Commit(dialling);
  EXPECT_THAT(dialling.upstreams(), IsEmpty());
  EXPECT_THAT(dialling.Services(), IsEmpty());
}

TEST_F(OwnDiallingTest, OfManyEndpointsEachSidecarAsksAFewAndKeepsThemWhenOthersCome) {
  std::vector<std::string> ips;
  for (int i = 1; i <= 40; ++i) ips.push_back("10.42.1." + std::to_string(i));
  PutClusterDns(ips);
  OwnDialling a = Make({.seed = "default/a"});
  OwnDialling b = Make({.seed = "default/b"});
  for (OwnDialling* one : {&a, &b}) one->SetUpstreams({kDns.address}, {});
  Commit(a);
  b.SetRoutes(routes_.table());
  const auto of_a = a.upstreams().at(kDns);
  EXPECT_THAT(of_a, SizeIs(OwnDialling::kMostEndpoints));
  EXPECT_NE(of_a, b.upstreams().at(kDns));
  ips.push_back("10.42.1.41");
  PutClusterDns(ips);
  Commit(a);
  std::vector<SocketAddress> kept;
  for (const SocketAddress& endpoint : a.upstreams().at(kDns)) {
    if (std::find(of_a.begin(), of_a.end(), endpoint) != of_a.end()) kept.push_back(endpoint);
  }
  EXPECT_GE(kept.size(), OwnDialling::kMostEndpoints - 1);
}

TEST_F(OwnDiallingTest, AControlPlaneIsFoundByItsClusterIpAndByItsName) {
  const std::string by_name = "portolan-control.portolan-system.svc:15012";
  OwnDialling dialling = Make({.control_planes = {"10.42.0.7:15012", by_name}});
  EXPECT_THAT(dialling.EndpointsOf(by_name), IsEmpty());
  PutService("portolan-system", "portolan-control", "10.43.0.50", {"xds", Protocol::kTcp, 15012});
  Commit(dialling);
  EXPECT_THAT(dialling.Services(), ElementsAre("portolan-system/portolan-control"));
  PutEndpoints("portolan-system", "portolan-control", {"10.42.0.7", "10.42.0.8"},
               {"xds", Protocol::kTcp, 15012});
  Commit(dialling);
  for (const char* text : {"portolan-control.portolan-system.svc:15012", "10.43.0.50:15012",
                           "portolan-control.portolan-system.svc.cluster.local:15012",
                           "portolan-control.portolan-system.svc.cluster.local.:15012"}) {
    EXPECT_THAT(dialling.EndpointsOf(text),
                UnorderedElementsAre("10.42.0.7:15012", "10.42.0.8:15012"))
        << text;
  }
  for (const char* text :
       {"portolan-control.portolan-system.svc:15013", "10.42.0.7:15012", "control.example.org:1",
        "portolan-control.portolan-system.svc.example.org:15012", "portolan-system.svc:15012",
        "portolan-control.portolan-system.svc", "svc:15012", ""}) {
    EXPECT_THAT(dialling.EndpointsOf(text), IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace portolan::proxy
