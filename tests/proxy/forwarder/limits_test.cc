// Many connections, and none to be had.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "common/log.h"
#include "proxy/forwarder/descriptors.h"
#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

using Limits = ForwarderTest;

// Lowers the soft limit of descriptors to those that are open, as long as it lives.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    // The undefined-behaviour sanitizer opens a pipe to look at an object whose type it sees for
    // the first time. So nothing is formatted, and the logger is shown to it before.
    spdlog::set_level(spdlog::level::off);
    log::warn("not shown");
    getrlimit(RLIMIT_NOFILE, &before_);
    const Fd lowest_free(dup(0));
    rlimit now = before_;
    now.rlim_cur = lowest_free.get();
    setrlimit(RLIMIT_NOFILE, &now);
  }
  ~NoMoreDescriptors() {
    setrlimit(RLIMIT_NOFILE, &before_);
    spdlog::set_level(spdlog::level::info);
  }

 private:
  rlimit before_;
};

TEST_F(Limits, WithoutDescriptorsAcceptingPausesAndResumes) {
  Endpoint endpoint;
  StartForwarder();
  Serve({endpoint.address()});
  dialled_.With([&](auto& dialled) { dialled = At(kService); });
  const Fd client = NewSocket(address_.ip);
  {
    NoMoreDescriptors none;
    ASSERT_EQ(ConnectTo(client, address_), 0) << "the kernel queues it";
    ASSERT_TRUE(Eventually([&] { return counters_->paused_on_descriptors.value() >= 2; }));
    EXPECT_LT(counters_->paused_on_descriptors.value(), 10u) << "it pauses, it does not spin";
    EXPECT_EQ(counters_->accepted.value(), 0u);
  }
  const Fd server = endpoint.Accept();
  EXPECT_TRUE(SendAll(client, "patience"));
  EXPECT_EQ(Receive(server, 8), "patience");
}

TEST_F(Limits, WithoutADescriptorForTheEndpointTheClientIsReset) {
  Endpoint endpoint;
  StartForwarder();
  Serve({endpoint.address()});
  dialled_.With([&](auto& dialled) { dialled = At(kService); });
  const Fd client = NewSocket(address_.ip);
  Fd the_last(dup(0));
  {
    NoMoreDescriptors none;
    the_last.Reset();
    ASSERT_EQ(ConnectTo(client, address_), 0);
    EXPECT_EQ(ReceiveAll(client).error, ECONNRESET);
  }
  EXPECT_EQ(counters_->no_descriptor.value(), 1u);
  EXPECT_TRUE(AllGone());
}

TEST_F(Limits, AtTheLimitOfConnectionsNewOnesWait) {
  Endpoint endpoint;
  StartForwarder({.max_connections = 2});
  Serve({endpoint.address()});
  Fd first = Call();
  const Fd second = Call();
  const Fd third = Dial(address_);
  ASSERT_TRUE(Eventually([&] { return counters_->paused_on_limit.value() >= 1; }));
  EXPECT_EQ(counters_->accepted.value(), 2u);
  ResetAndClose(first);
  EXPECT_TRUE(Eventually([&] { return counters_->accepted.value() == 3; }));
}

TEST_F(Limits, TwoThousandConnectionsLeaveNothingBehind) {
  Endpoint endpoint;
  StartForwarder();
  Serve({endpoint.address()});
  dialled_.With([&](auto& dialled) { dialled = At(kService); });
  for (int round = 0; round < 4; ++round) {
    std::vector<Fd> clients, servers;
    for (int i = 0; i < 500; ++i) {
      clients.push_back(Dial(address_));
      servers.push_back(endpoint.Accept());
    }
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(SendAll(clients[i], "x"));
    // An endpoint's kernel accepts before the forwarder hears of it.
    const uint64_t joined = 500u * (static_cast<uint64_t>(round) + 1);
    ASSERT_TRUE(Eventually([&] { return counters_->forwarded.value() == joined; }));
    for (int i = 0; i < 500; ++i) {
      if (i % 2 == 0) ResetAndClose(servers[i]);
    }
    clients.clear();
    servers.clear();
    ASSERT_TRUE(AllGone());
  }
  EXPECT_EQ(counters_->forwarded.value(), 2000u);
  const uint64_t ended = counters_->closed.value() + counters_->reset_by_client.value() +
                         counters_->reset_by_endpoint.value();
  EXPECT_EQ(ended, 2000u);
  EXPECT_TRUE(OnLoop([&] { return forwarder_->Connections(10); }).empty());
  EXPECT_EQ(OnLoop([&] { return forwarder_->buffers_in_use(); }), 0u);
}

TEST_F(Limits, WorkersShareAnAddress) {
  StartForwarder();
  EventLoop loop;
  const auto second = Forwarder::Start(loop, {.listen = {address_}});
  EXPECT_TRUE(second.ok()) << second.status();
}

TEST(Descriptors, AreRaisedToTheHardLimit) {
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = 256;
  setrlimit(RLIMIT_NOFILE, &low);
  const auto raised = RaiseDescriptorLimit();
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(raised.ok());
  EXPECT_EQ(*raised, before.rlim_max);
}

TEST(Descriptors, BoundTheConnectionsOfAWorker) {
  EXPECT_EQ(ConnectionsPerWorker(20'256, 2), 3'750u);
  EXPECT_EQ(ConnectionsPerWorker(1'000'000, 2), 50'000u);
  EXPECT_EQ(ConnectionsPerWorker(100, 2), 1u) << "too few for anything else, but not none";
}

TEST(Descriptors, TooFewForFiftyThousandConnectionsAreSaidToBe) {
  EXPECT_EQ(
      DescriptorShortage(20'256, 2),
      "the hard limit of 20256 descriptors allows 7500 connections; 50000 of them need 133590 "
      "(ulimit -Hn)");
  EXPECT_EQ(ConnectionsPerWorker(133'590, 1), 50'000u);
  for (const size_t workers : {1u, 2u, 3u, 64u}) {
    EXPECT_EQ(DescriptorShortage(133'590, workers), "");
    EXPECT_EQ(DescriptorShortage(1'048'576, workers), "");
  }
}

TEST(Descriptors, LeaveSomeForUpstreamsWhateverConnectionsAreOpen) {
  for (const uint64_t descriptors : {400u, 1'024u, 4'096u, 1'000'000u}) {
    const size_t taken = 2 * 2 * ConnectionsPerWorker(descriptors, 2) +
                         4 * DnsConnectionsPerListener(descriptors, 4) +
                         2 * UdpFlowsPerWorker(descriptors, 2, SIZE_MAX);
    EXPECT_LE(taken + 256 + (descriptors - 256) / 20, descriptors) << descriptors;
  }
  EXPECT_EQ(UdpFlowsPerWorker(1'048'576, 2, 4096), 4096u);
  EXPECT_EQ(UdpFlowsPerWorker(20'256, 2, 4096), 625u);
  EXPECT_EQ(UdpFlowsPerWorker(100, 2, 4096), 1u);
  EXPECT_EQ(DnsConnectionsPerListener(1'000'000, 4), 256u);
  EXPECT_EQ(DnsConnectionsPerListener(100, 4), 1u);
}

}  // namespace
}  // namespace portolan::proxy
