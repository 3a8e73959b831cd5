// Datagrams of an application through the rules of portolan-init, a UdpForwarder and back.

#include "proxy/forwarder/udp_forwarder.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <set>

#include "tests/proxy/forwarder/udp_pod.h"

namespace portolan::proxy {
namespace {

TEST_P(UdpForwarding, AnswersComeFromTheAddressDialled) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  ExpectExchange(client, server, "one");
  ExpectExchange(client, server, "two");
  EXPECT_EQ(Count(counters_->forwarded), 2u);
  EXPECT_EQ(Count(counters_->answered), 2u);
  EXPECT_EQ(Count(counters_->opened), 1u);
  EXPECT_EQ(Count(counters_->bytes_up), 6u);
  EXPECT_EQ(Count(counters_->bytes_down), 2 * std::string("answer to one").size());
}

TEST_P(UdpForwarding, AConnectedSocketTakesTheAnswer) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  Connect(client, service_);
  ASSERT_EQ(send(client.get(), "question", 8, 0), 8);
  const Received asked = Receive(server);
  EXPECT_EQ(asked.from.ip, at_.pod) << "the endpoint sees the pod's address";
  Send(server, asked.from, "answer");
  EXPECT_EQ(Receive(client).data, "answer");
}

TEST_P(UdpForwarding, AFlowStaysWithItsEndpointAndFlowsAreSpread) {
  Start();
  Serve({kEndpointPort, kEndpointPort + 1});
  const Fd servers[] = {Server(kEndpointPort), Server(kEndpointPort + 1)};
  int took[2] = {};
  for (int i = 0; i < 10; ++i) {
    const Fd client = Client();
    for (int repeat = 0; repeat < 3; ++repeat) Send(client, service_, "x");
    ASSERT_TRUE(Reaches(counters_->forwarded, static_cast<uint64_t>(3 * i + 3)));
    const int taker = Receive(servers[0], 100).data.empty() ? 1 : 0;
    for (int left = taker == 0 ? 2 : 3; left > 0; --left) {
      EXPECT_EQ(Receive(servers[taker]).data, "x");
    }
    EXPECT_EQ(Receive(servers[1 - taker], 0).data, "");
    ++took[taker];
  }
  EXPECT_EQ(took[0], 5);
  EXPECT_EQ(took[1], 5);
}

TEST_P(UdpForwarding, OneSocketMayDialSeveralAddresses) {
  Start();
  Serve({kEndpointPort});
  const SocketAddress other{at_.other_pod, kPort + 100};  // captured by its port
  const Fd server = Server(kEndpointPort);
  const Fd passed = World(other);
  const Fd client = Client();
  ExpectExchange(client, server);
  Send(client, other, "through");
  const Received asked = Receive(passed);
  ASSERT_EQ(asked.data, "through");
  Send(passed, asked.from, "back");
  const Received answer = Receive(client);
  EXPECT_EQ(answer.data, "back");
  EXPECT_EQ(answer.from, other);
  EXPECT_EQ(Count(counters_->passed_through), 1u);
}

TEST_P(UdpForwarding, AnApplicationOfThePodMayServeTheDialledPort) {
  Start();
  Serve({kEndpointPort});
  const Fd application =
      UdpSocket({at_.pod.is_v4() ? IpAddress() : *IpAddress::Parse("::"), kPort});
  ExpectExchange(Client(), Server(kEndpointPort));
  EXPECT_EQ(Receive(application, 0).data, "");
}

TEST_P(UdpForwarding, DatagramsOfEverySizeArriveAsTheyWere) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  const size_t largest = at_.pod.is_v4() ? 65'507 : 65'488;
  for (size_t size : {size_t{0}, size_t{1}, size_t{1472}, size_t{1473}, size_t{9001}, largest}) {
    std::string data(size, '\0');
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * 7 + i / 251);
    Send(client, service_, data);
    std::string got(70'000, '\0');
    sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(server.get(), got.data(), got.size(), 0,
                         reinterpret_cast<sockaddr*>(&from), &length);
    ASSERT_EQ(n, static_cast<ssize_t>(size));
    EXPECT_EQ(got.substr(0, size), data);
    ASSERT_EQ(
        sendto(server.get(), data.data(), size, 0, reinterpret_cast<sockaddr*>(&from), length),
        static_cast<ssize_t>(size));
    n = recv(client.get(), got.data(), got.size(), 0);
    ASSERT_EQ(n, static_cast<ssize_t>(size));
    EXPECT_EQ(got.substr(0, size), data);
  }
}

TEST_P(UdpForwarding, AnswerTooLargeForTheLoopbackIsDroppedAndCounted) {
  if (GetParam() == IpFamily::kIpv4) GTEST_SKIP() << "the largest fits";
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  Send(client, service_, "question");
  Send(server, Receive(server).from, std::string(65'489, 'x'));
  EXPECT_TRUE(Reaches(counters_->answer_too_large, 1));
  ExpectExchange(client, server);
}

TEST_P(UdpForwarding, BurstsKeepTheirOrder) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  for (int i = 0; i < 100; ++i) Send(client, service_, std::to_string(i));
  SocketAddress from;
  for (int i = 0; i < 100; ++i) {
    const Received asked = Receive(server);
    ASSERT_EQ(asked.data, std::to_string(i));
    from = asked.from;
  }
  for (int i = 0; i < 100; ++i) Send(server, from, std::to_string(i));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Receive(client).data, std::to_string(i));
  EXPECT_EQ(Count(counters_->opened), 1u);
}

TEST_P(UdpForwarding, BeforeAnyRoutesAllPassesThrough) {
  Start();
  ExpectExchange(Client(), World(service_));
  EXPECT_EQ(Count(counters_->passed_through), 1u);
  EXPECT_EQ(Count(counters_->forwarded), 0u);
}

TEST_P(UdpForwarding, AFlowMovesToTheEndpointsOnceTheyAreKnown) {
  Start();
  const Fd client = Client();
  ExpectExchange(client, World(service_));
  Serve({kEndpointPort});
  ExpectExchange(client, Server(kEndpointPort));
  EXPECT_EQ(Count(counters_->rerouted), 1u);
}

TEST_P(UdpForwarding, WithoutEndpointsItIsRejectedAndSoIsAPortThatTheServiceHasNot) {
  Start();
  Serve({});
  for (const SocketAddress& to : {service_, SocketAddress{at_.service, kPort + 1}}) {
    const Fd client = Client();
    Connect(client, to);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    EXPECT_EQ(ErrorOf(client), ECONNREFUSED) << to.ToString();
  }
  EXPECT_EQ(Count(counters_->no_endpoints), 1u);
  EXPECT_EQ(Count(counters_->no_port), 1u);
  EXPECT_EQ(Count(counters_->rejected), 2u);
  EXPECT_EQ(Active(), 0u);
}

TEST_P(UdpForwarding, ARefusalReachesTheClient) {
  Start();
  for (const bool known : {false, true}) {
    if (known) Serve({kEndpointPort});
    const Fd client = Client();
    Connect(client, service_);
    ASSERT_EQ(send(client.get(), "x", 1, 0), 1);
    EXPECT_EQ(ErrorOf(client), ECONNREFUSED);
  }
  EXPECT_EQ(Count(counters_->refused), 2u);
}

TEST_P(UdpForwarding, ItsOwnListenerIsRefused) {
  Start();
  const Fd client = UdpSocket({at_.loopback, 0});
  Send(client, {at_.loopback, 15001}, "x");
  EXPECT_TRUE(Reaches(counters_->loop_refused, 1));
  EXPECT_EQ(Active(), 0u);
}

TEST_P(UdpForwarding, AFlowMovesOffAnEndpointThatWasDeleted) {
  Start();
  Serve({kEndpointPort});
  const Fd gone = Server(kEndpointPort);
  const Fd next = Server(kEndpointPort + 1);
  const Fd client = Client();
  ExpectExchange(client, gone);
  Serve({kEndpointPort + 1});
  ExpectExchange(client, next);
  EXPECT_EQ(Receive(gone, 0).data, "");
  EXPECT_EQ(Count(counters_->rerouted), 1u);
  Serve({});
  Send(client, service_, "x");
  EXPECT_TRUE(Reaches(counters_->no_endpoints, 1));
  EXPECT_EQ(Count(counters_->rerouted), 2u);
}

TEST_P(UdpForwarding, AFlowStaysWithAnEndpointThatIsStillThere) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  ExpectExchange(client, server);
  Serve({kEndpointPort, kEndpointPort + 1, kEndpointPort + 2});
  ExpectExchange(client, server);
  Serve(
      {kEndpointPort, kEndpointPort + 1}, [](Service&) {},
      [](Endpoint& endpoint) {
        const bool first = endpoint.pod.name == "pod-6001";
        endpoint.conditions = {.ready = !first, .serving = true, .terminating = first};
      });
  ExpectExchange(client, server);
  EXPECT_EQ(Count(counters_->rerouted), 0u);
  Serve(
      {kEndpointPort, kEndpointPort + 1}, [](Service&) {},
      [](Endpoint& endpoint) {
        const bool first = endpoint.pod.name == "pod-6001";
        endpoint.conditions = {.ready = !first, .serving = !first, .terminating = first};
      });
  ExpectExchange(client, Server(kEndpointPort + 1));
}

TEST_P(UdpForwarding, AFlowMovesOffAnEndpointThatRefuses) {
  Start();
  Serve({kEndpointPort, kEndpointPort + 1});
  // Only one of them listens; whichever is chosen first, the second attempt reaches it.
  const Fd server = Server(kEndpointPort + 1);
  for (int i = 0; i < 4; ++i) {
    const Fd client = Client();
    Received asked;
    for (int attempt = 0; attempt < 3 && asked.data.empty(); ++attempt) {
      Send(client, service_, "question");
      asked = Receive(server, 200);
    }
    EXPECT_EQ(asked.data, "question");
  }
  EXPECT_GE(Count(counters_->refused), 2u);
  EXPECT_EQ(Count(counters_->refused_ended), Count(counters_->refused));
}

TEST_P(UdpForwarding, TheOnlyEndpointIsTriedAgainAfterItRefused) {
  Start();
  Serve({kEndpointPort});
  const Fd client = Client();
  Send(client, service_, "lost");
  EXPECT_TRUE(Reaches(counters_->refused, 1));
  ExpectExchange(client, Server(kEndpointPort));
}

TEST_P(UdpForwarding, APassedThroughFlowOutlivesARefusal) {
  Start();
  const Fd client = Client();
  Send(client, service_, "lost");
  EXPECT_TRUE(Reaches(counters_->refused, 1));
  ExpectExchange(client, World(service_));
  EXPECT_EQ(Count(counters_->opened), 1u);
}

TEST_P(UdpForwarding, TheOldestFlowMakesRoom) {
  Start({.max_flows = 2});
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd first = Client();
  const Fd second = Client();
  const Fd third = Client();
  ExpectExchange(first, server);
  ExpectExchange(second, server);
  ExpectExchange(first, server);
  ExpectExchange(third, server);
  EXPECT_EQ(Count(counters_->evicted), 1u);
  EXPECT_EQ(Active(), 2u);
  ExpectExchange(first, server);
  EXPECT_EQ(Count(counters_->opened), 3u) << "the second one made room";
}

TEST_P(UdpForwarding, AnIdleFlowEndsSoonerIfItWasNeverAnswered) {
  Start({.timeout = absl::Milliseconds(1), .stream_timeout = absl::Hours(1)});
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd answered = Client();
  const Fd unanswered = Client();
  ExpectExchange(answered, server);
  Send(unanswered, service_, "x");
  EXPECT_EQ(Receive(server).data, "x");
  EXPECT_TRUE(Reaches(counters_->idle, 1));
  EXPECT_EQ(Active(), 1u);
  ExpectExchange(answered, server);
  EXPECT_EQ(Count(counters_->opened), 2u);
}

TEST_P(UdpForwarding, SessionAffinityKeepsNewFlowsWithOneEndpoint) {
  Start();
  Serve({kEndpointPort, kEndpointPort + 1, kEndpointPort + 2, kEndpointPort + 3},
        [](Service& service) { service.session_affinity = SessionAffinity::kClientIp; });
  Fd servers[4];
  for (uint16_t i = 0; i < 4; ++i) servers[i] = Server(static_cast<uint16_t>(kEndpointPort + i));
  for (int i = 0; i < 8; ++i) Send(Client(), service_, "x");
  ASSERT_TRUE(Reaches(counters_->forwarded, 8));
  std::multiset<int> took;
  for (const Fd& server : servers) {
    int count = 0;
    while (!Receive(server, 50).data.empty()) ++count;
    took.insert(count);
  }
  EXPECT_EQ(took, (std::multiset<int>{0, 0, 0, 8}));
}

TEST_P(UdpForwarding, AServiceHasNoMoreFlowsThanItIsToHave) {
  Start();
  Serve({kEndpointPort}, [](Service& service) {
    ServiceExtras extras;
    extras.annotations = {{"portolan.dev/max-connections", "1"}};
    service.extras = std::move(extras);
  });
  const Fd server = Server(kEndpointPort);
  const Fd first = Client();
  ExpectExchange(first, server);
  Send(Client(), service_, "x");
  EXPECT_TRUE(Reaches(counters_->over_limit, 1));
  ExpectExchange(first, server);
}

TEST_P(UdpForwarding, WithoutADescriptorItIsDroppedAndLaterDatagramsPass) {
  Start();
  Serve({kEndpointPort});
  const Fd server = Server(kEndpointPort);
  const Fd client = Client();
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  Send(client, service_, "lost");
  EXPECT_TRUE(Reaches(counters_->no_descriptor, 1));
  setrlimit(RLIMIT_NOFILE, &before);
  ExpectExchange(client, server);
  EXPECT_EQ(Active(), 1u);
}

TEST_P(UdpForwarding, WhatTheKernelDropsWhileTheWorkerIsBusyIsCounted) {
  Start();
  Serve({kEndpointPort});
  const Fd client = Client();
  const std::string data(1400, 'x');
  // Until the kernel has more than fits: net.core.rmem_max, twice, holds the listener's buffer
  // down.
  OnLoop([&] {
    for (int i = 0; i < 20'000; ++i) Send(client, service_, data);
  });
  EXPECT_TRUE(Eventually([&] { return counters_->overrun.value() > 0; }));
  EXPECT_TRUE(Eventually([&] {
    return Count(counters_->overrun) + Count(counters_->forwarded) +
               Count(counters_->buffer_full) ==
           20'000u;
  })) << Count(counters_->overrun);
}

TEST_P(UdpForwarding, FlowsAreListedWithServiceAndPod) {
  Start();
  Serve({kEndpointPort});
  const Fd client = Client();
  ExpectExchange(client, Server(kEndpointPort), "four");
  const auto flows = OnLoop([&] { return forwarder_->Flows(10); });
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].protocol, Protocol::kUdp);
  EXPECT_EQ(flows[0].client, (SocketAddress{at_.pod, PortOf(client)}));
  EXPECT_EQ(flows[0].dialled, service_);
  EXPECT_EQ(flows[0].endpoint, (SocketAddress{at_.other_pod, kEndpointPort}));
  EXPECT_EQ(flows[0].service, "default/echo");
  EXPECT_EQ(flows[0].pod, "default/pod-6001");
  EXPECT_EQ(flows[0].bytes_up, 4u);
  EXPECT_EQ(flows[0].bytes_down, std::string("answer to four").size());
}

TEST_P(UdpForwarding, ItsEndLeavesNothingBehind) {
  Start();
  Serve({kEndpointPort});
  ExpectExchange(Client(), Server(kEndpointPort));
  const auto target = OnLoop([&] {
    return (*builder_.Apply({directory_.snapshot(), {}}, EndpointsHeld::kAll)
                 ->Find(service_, Protocol::kUdp)
                 .route)
        ->target;
  });
  EXPECT_EQ(target->shared->connections, 1u);
  Stop();
  EXPECT_EQ(counters_->cut.value(), 1u);
  EXPECT_EQ(counters_->active(), 0u);
  EXPECT_EQ(target->shared->connections, 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, UdpForwarding, testing::Values(IpFamily::kIpv4, IpFamily::kIpv6),
                         [](const auto& param) { return std::string(Name(param.param)); });

}  // namespace
}  // namespace portolan::proxy
