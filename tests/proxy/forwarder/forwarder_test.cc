// Where connections go, and what becomes of those that cannot go anywhere.
#include "proxy/forwarder/forwarder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>

#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

using testing::HasSubstr;

TEST_F(ForwarderTest, CarriesAConnectionToAnEndpointOfTheService) {
  Endpoint endpoint;
  StartForwarder();
  Serve({endpoint.address()});
  const Fd client = Call();
  const Fd server = endpoint.Accept();
  EXPECT_TRUE(SendAll(client, "ping"));
  EXPECT_EQ(Receive(server, 4), "ping");
  EXPECT_TRUE(SendAll(server, "pong!"));
  EXPECT_EQ(Receive(client, 5), "pong!");
  EXPECT_EQ(counters_->forwarded.value(), 1u);
  EXPECT_EQ(counters_->active(), 1u);

  const auto listed = OnLoop([&] { return forwarder_->Connections(10); });
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].state, ConnectionInfo::State::kJoined);
  EXPECT_EQ(listed[0].service, "default/backend");
  EXPECT_EQ(listed[0].pod, "default/pod-1");
  EXPECT_EQ(listed[0].dialled, At(kService));
  EXPECT_EQ(listed[0].endpoint, endpoint.address());
  EXPECT_EQ(listed[0].bytes_up, 4u);
  EXPECT_EQ(listed[0].bytes_down, 5u);
  EXPECT_TRUE(OnLoop([&] { return forwarder_->Connections(0); }).empty());
}

TEST_F(ForwarderTest, ThirtyConnectionsReachEachOfThreeEndpoints) {
  Endpoint endpoints[3];
  StartForwarder();
  Serve({endpoints[0].address(), endpoints[1].address(), endpoints[2].address()});
  std::vector<Fd> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(Call());
  ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == 30; }));
  for (Endpoint& endpoint : endpoints) {
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(endpoint.Accept().valid());
  }
}

TEST_F(ForwarderTest, ARefusingEndpointIsReplacedByAnother) {
  Refusing dead;
  Endpoint alive;
  StartForwarder();
  Serve({dead.address(), alive.address()});
  for (int i = 0; i < 4; ++i) {
    const Fd client = Call();
    const Fd server = alive.Accept();
    EXPECT_TRUE(SendAll(server, "x"));
    EXPECT_EQ(Receive(client, 1), "x");
  }
  EXPECT_EQ(counters_->forwarded.value(), 4u);
  EXPECT_GE(counters_->retried.value(), 1u);
  EXPECT_EQ(counters_->connect_failed.value(), 0u);
}

TEST_F(ForwarderTest, WhenAllEndpointsRefuseTheConnectionIsReset) {
  Refusing dead[6];
  StartForwarder();
  std::vector<SocketAddress> addresses;
  for (const Refusing& one : dead) addresses.push_back(one.address());
  Serve(addresses);
  const Fd client = Call();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->connect_failed.value(), 1u);
  EXPECT_EQ(counters_->retried.value(), 3u) << "the first and three more";
}

TEST_F(ForwarderTest, ASilentEndpointIsReplacedAfterTheConnectTimeout) {
  BlackHole silent;
  Endpoint alive;
  StartForwarder({.connect_timeout = absl::Milliseconds(50)});
  Serve({silent.address(), alive.address()});
  std::vector<Fd> clients;
  std::vector<Fd> servers;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(Call());
    servers.push_back(alive.Accept());
  }
  EXPECT_TRUE(Eventually([&] { return counters_->forwarded.value() == 4; }));
  EXPECT_GE(counters_->retried.value(), 1u);
  EXPECT_TRUE(SendAll(servers.back(), "x"));
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  EXPECT_EQ(counters_->active(), 4u) << "the timeout is for connecting alone";
}

TEST_F(ForwarderTest, WhenAllEndpointsAreSilentTheConnectionIsReset) {
  BlackHole silent;
  StartForwarder({.connect_timeout = absl::Milliseconds(50)});
  Serve({silent.address()});
  const Fd client = Call();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->connect_timeout.value(), 1u);
  EXPECT_EQ(counters_->connect_failed.value(), 0u);
}

TEST_F(ForwarderTest, AServiceWithoutEndpointsIsResetAtOnce) {
  StartForwarder();
  Serve({});
  const Fd client = Call();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_EQ(counters_->no_endpoints.value(), 1u);
  EXPECT_EQ(counters_->active(), 0u);
}

TEST_F(ForwarderTest, AConnectionOverTheLimitOfTheServiceIsResetAtOnce) {
  Endpoint endpoint;
  StartForwarder();
  SetRoutes(RoutesTo(At(kService), {endpoint.address()},
                     [](Service& service) { service.extras = MaxConnections("2"); }));
  Fd first = Call();
  const Fd second = Call();
  EXPECT_EQ(ReceiveAll(Call()).error, ECONNRESET);
  EXPECT_EQ(counters_->over_limit.value(), 1u);
  ResetAndClose(first);
  ASSERT_TRUE(Eventually([&] { return counters_->active() == 1; }));
  Call();
  EXPECT_TRUE(Eventually([&] { return counters_->forwarded.value() == 3; }));
}

TEST_F(ForwarderTest, AServiceWhoseEndpointsAreAllOnOtherNodesIsResetAtOnce) {
  Endpoint endpoint;
  StartForwarder();
  SetRoutes(RoutesTo(At(kService), {endpoint.address()}, [](Service& service) {
    service.internal_traffic_policy = TrafficPolicy::kLocal;
  }));
  EXPECT_EQ(ReceiveAll(Call()).error, ECONNRESET);
  EXPECT_EQ(counters_->no_local_endpoints.value(), 1u);
  EXPECT_EQ(counters_->no_endpoints.value(), 0u);
}

TEST_F(ForwarderTest, AnEndpointThatKeepsRefusingIsNotAskedAnyMore) {
  Refusing dead;
  Endpoint alive;
  StartForwarder();
  Serve({dead.address(), alive.address()});
  for (uint64_t i = 1; i <= 20; ++i) {
    Call();
    ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == i; }));
  }
  EXPECT_EQ(counters_->retried.value(), 3u);
  EXPECT_EQ(counters_->ejected.value(), 1u);
}

TEST_F(ForwarderTest, AConnectionGoesOnWhenItsEndpointIsDeletedAndCounts) {
  Endpoint endpoint;
  StartForwarder();
  Serve({endpoint.address()});
  const Fd client = Call();
  const Fd server = endpoint.Accept();
  Serve({});
  EXPECT_TRUE(Eventually([&] { return counters_->endpoint_deleted.value() == 1; }));
  EXPECT_TRUE(SendAll(client, "still here"));
  EXPECT_EQ(Receive(server, 10), "still here");
}

TEST_F(ForwarderTest, AClusterIpOnAPortItHasNotIsResetAtOnce) {
  StartForwarder();
  Serve({});
  const Fd client = Redirected(At("10.43.0.123:8081"));
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_EQ(counters_->no_port.value(), 1u);
}

TEST_F(ForwarderTest, BeforeAnyRoutesConnectionsPassThrough) {
  Endpoint target;
  StartForwarder();
  const Fd client = Redirected(target.address());
  const Fd server = target.Accept();
  EXPECT_TRUE(SendAll(client, "x"));
  EXPECT_EQ(Receive(server, 1), "x");
  EXPECT_EQ(counters_->passed_through.value(), 1u);
  EXPECT_EQ(OnLoop([&] { return forwarder_->Connections(1); })[0].service, "");
}

TEST_F(ForwarderTest, AnAddressThatIsNoServicePassesThrough) {
  Endpoint endpoint, elsewhere;
  StartForwarder();
  Serve({endpoint.address()});
  const Fd client = Redirected(elsewhere.address());
  EXPECT_TRUE(elsewhere.Accept().valid());
  EXPECT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));
  EXPECT_EQ(counters_->endpoints_unknown.value(), 0u);
}

TEST_F(ForwarderTest, AServiceWhoseEndpointsAreNotKnownPassesThrough) {
  Endpoint kube_proxy;  // stands for whoever serves the address where we do not know
  StartForwarder();
  Directory directory;
  Service service;
  service.name = {"default", "backend"};
  service.cluster_ips = {kube_proxy.address().ip};
  service.ports = {{"", Protocol::kTcp, kube_proxy.address().port}};
  directory.Put(service);
  const auto committed = directory.Commit();
  RouteTableBuilder builder;
  SetRoutes(builder.Apply(committed, EndpointsHeld::kSome));
  const Fd client = Redirected(kube_proxy.address());
  EXPECT_TRUE(kube_proxy.Accept().valid());
  EXPECT_EQ(counters_->endpoints_unknown.value(), 1u);
  EXPECT_TRUE(Eventually([&] { return counters_->passed_through.value() == 1; }));

  SetRoutes(builder.Apply(committed, EndpointsHeld::kAll));
  EXPECT_EQ(ReceiveAll(Redirected(kube_proxy.address())).error, ECONNRESET);
  EXPECT_EQ(counters_->no_endpoints.value(), 1u);
}

TEST_F(ForwarderTest, ADialledAddressThatRefusesResetsTheClient) {
  Refusing dead;
  StartForwarder();
  EXPECT_EQ(ReceiveAll(Redirected(dead.address())).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->connect_failed.value(), 1u);
  EXPECT_EQ(counters_->retried.value(), 0u);
}

TEST_F(ForwarderTest, PassingThroughLeavesTheTimeToTheKernel) {
  BlackHole silent;
  StartForwarder({.connect_timeout = absl::Milliseconds(10)});
  Fd client = Redirected(silent.address());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(counters_->active(), 1u);
  EXPECT_EQ(OnLoop([&] { return forwarder_->Connections(1); })[0].state,
            ConnectionInfo::State::kConnecting);
  ResetAndClose(client);
  EXPECT_TRUE(AllGone()) << "a client that gives up ends the attempt";
  EXPECT_EQ(counters_->client_gone.value(), 1u);
}

// Whether the kernel has a keep-alive timer running for a connection to this endpoint (proc(5)).
bool IsProbed(const SocketAddress& endpoint) {
  std::ifstream sockets("/proc/net/tcp");
  for (std::string line; std::getline(sockets, line);) {
    unsigned port, state, timer;
    const int found =
        std::sscanf(line.c_str(), " %*d: %*x:%*x %*x:%x %x %*x:%*x %x:", &port, &state, &timer);
    if (found == 3 && port == endpoint.port && state == TCP_ESTABLISHED && timer == 2) return true;
  }
  return false;
}

TEST_F(ForwarderTest, AConnectionThatLivesLongIsProbed) {
  Endpoint endpoint;
  StartForwarder({.keep_alive_after = absl::Milliseconds(20)});
  Serve({endpoint.address()});
  const Fd client = Call();
  const Fd server = endpoint.Accept();
  EXPECT_TRUE(Eventually([&] { return IsProbed(endpoint.address()); }));
  EXPECT_EQ(counters_->active(), 1u) << "and is not idle, as no time was given";
}

TEST_F(ForwarderTest, AnIdleConnectionIsResetWhereATimeIsGiven) {
  Endpoint endpoint;
  StartForwarder(
      {.keep_alive_after = absl::Milliseconds(10), .idle_timeout = absl::Milliseconds(200)});
  Serve({endpoint.address()});
  const Fd client = Call();
  const Fd server = endpoint.Accept();
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  while (std::chrono::steady_clock::now() < end) {
    ASSERT_TRUE(SendAll(client, "x"));
    ASSERT_EQ(Receive(server, 1), "x") << "it is not idle";
  }
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_EQ(ReceiveAll(server).error, ECONNRESET);
  EXPECT_TRUE(AllGone());
  EXPECT_EQ(counters_->idle.value(), 1u);
}

TEST_F(ForwarderTest, ItsOwnListenerIsNoDestination) {
  StartForwarder();
  EXPECT_EQ(ReceiveAll(Redirected(address_)).error, ECONNRESET);
  EXPECT_EQ(ReceiveAll(Redirected(SocketAddress{*IpAddress::Parse("::1"), address_.port})).error,
            ECONNRESET);
  EXPECT_EQ(counters_->loop_refused.value(), 2u);
  EXPECT_EQ(counters_->accepted.value(), 2u) << "it must not have called itself";
}

TEST_F(ForwarderTest, AWildcardListenerIsNoDestinationByAnyOfItsAddresses) {
  StartForwarder({.listen = {At("0.0.0.0:0")}});
  address_.ip = *IpAddress::Parse("127.0.0.1");
  EXPECT_EQ(ReceiveAll(Redirected(address_)).error, ECONNRESET);
  EXPECT_EQ(counters_->loop_refused.value(), 1u);
}

TEST_F(ForwarderTest, WithoutAnOriginalDestinationTheConnectionIsReset) {
  StartForwarder();
  EXPECT_EQ(ReceiveAll(Redirected(std::nullopt)).error, ECONNRESET);
  EXPECT_EQ(counters_->no_destination.value(), 1u);
}

TEST_F(ForwarderTest, AConnectionThatWasNotRedirectedIsRefused) {
  EventLoop loop;
  auto forwarder = Forwarder::Start(loop, {.listen = {At("127.0.0.1:0")}});
  ASSERT_TRUE(forwarder.ok());
  std::thread thread([&] { loop.Run(); });
  EXPECT_EQ(ReceiveAll(Dial((*forwarder)->addresses()[0])).error, ECONNRESET);
  loop.Stop();
  thread.join();
  const auto counters = (*forwarder)->counters();
  EXPECT_EQ(counters->loop_refused.value() + counters->no_destination.value(), 1u)
      << "whether the kernel tracks connections or not";
}

TEST_F(ForwarderTest, CarriesIpv6) {
  Endpoint endpoint("::1");
  StartForwarder({.listen = {At("[::1]:0")}});
  const SocketAddress service = At("[fd00::123]:8080");
  SetRoutes(RoutesTo(service, {endpoint.address()}));
  const Fd client = Redirected(service);
  const Fd server = endpoint.Accept();
  EXPECT_TRUE(SendAll(client, "six"));
  EXPECT_EQ(Receive(server, 3), "six");
  EXPECT_EQ(counters_->forwarded.value(), 1u);
}

TEST_F(ForwarderTest, ListensOnSeveralAddressesOrSaysWhichOneFails) {
  StartForwarder({.listen = {At("127.0.0.1:0"), At("[::1]:0")}});
  EXPECT_EQ(OnLoop([&] { return forwarder_->addresses(); }).size(), 2u);
  EventLoop loop;
  const auto failed = Forwarder::Start(loop, {.listen = {At("192.0.2.1:15001")}});
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.status().ToString(), HasSubstr("192.0.2.1:15001"));
}

TEST_F(ForwarderTest, ChangedRoutesLeaveEstablishedConnectionsAlone) {
  Endpoint before, after;
  StartForwarder();
  Serve({before.address()});
  const Fd old_client = Call();
  const Fd old_server = before.Accept();
  Serve({after.address()});
  const Fd new_client = Call();
  const Fd new_server = after.Accept();
  for (const auto& [client, server] :
       {std::pair(&old_client, &old_server), std::pair(&new_client, &new_server)}) {
    EXPECT_TRUE(SendAll(*client, "still here"));
    EXPECT_EQ(Receive(*server, 10), "still here");
  }
  const auto listed = OnLoop([&] { return forwarder_->Connections(10); });
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].service, "default/backend");
  EXPECT_EQ(listed[1].service, "default/backend");
}

TEST_F(ForwarderTest, ItsEndResetsWhatIsOpen) {
  Endpoint endpoint;
  StartForwarder();
  Serve({endpoint.address()});
  const Fd client = Call();
  const Fd server = endpoint.Accept();
  ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == 1; }));
  StopForwarder();
  EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  EXPECT_EQ(ReceiveAll(server).error, ECONNRESET);
  EXPECT_EQ(counters_->cut.value(), 1u);
  EXPECT_EQ(counters_->active(), 0u);
}

TEST_F(ForwarderTest, MetricsAddTheWorkersUp) {
  auto one = std::make_shared<ForwarderCounters>();
  auto two = std::make_shared<ForwarderCounters>();
  one->forwarded.Add(2);
  two->forwarded.Add(3);
  two->opened.Add(3);
  two->finished.Add(1);
  MetricsPage page;
  page.AddSource(ForwarderMetrics({one, two}));
  const std::string text = page.Render();
  EXPECT_THAT(text, HasSubstr("portolan_forwarder_connections_total{outcome=\"forwarded\"} 5"));
  EXPECT_THAT(text, HasSubstr("portolan_forwarder_active_connections 2"));
  EXPECT_THAT(text, HasSubstr("portolan_forwarder_bytes_total{direction=\"up\"} 0"));
}

}  // namespace
}  // namespace portolan::proxy
