// No heap allocation while bytes flow or connections come and go.
#include <gtest/gtest.h>

#include "tests/proxy/forwarder/allocations.h"
#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

class Allocations : public ForwarderTest {
 protected:
  static void SetUpTestSuite() { CountLibeventToo(); }

  // Of the forwarder's thread while `work` runs on this one.
  template <typename F>
  uint64_t During(F&& work) {
    OnLoop(StartCounting);
    work();
    return OnLoop(StopCounting);
  }

  // What the counting itself costs.
  uint64_t DuringNothing() {
    return During([] {});
  }

  Endpoint endpoint_;
};

TEST_F(Allocations, NoneWhileBytesFlow) {
  StartForwarder();
  Serve({endpoint_.address()});
  const Fd client = Call();
  const Fd server = endpoint_.Accept();
  const std::string chunk(256 * 1024, 'x');
  const auto exchange = [&] {
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(SendAll(client, "request"));
      ASSERT_EQ(Receive(server, 7).size(), 7u);
      std::thread sender([&] { SendAll(server, chunk); });
      ASSERT_EQ(Receive(client, chunk.size()).size(), chunk.size());
      sender.join();
    }
  };
  exchange();  // once, so that what is kept for reuse is there
  EXPECT_EQ(During(exchange), DuringNothing());
}

TEST_F(Allocations, NoneWhileASlowReaderIsWaitedFor) {
  StartForwarder();
  Serve({endpoint_.address()});
  const Fd client = Call();
  const Fd server = endpoint_.Accept();
  const std::string chunk(16 * 1024 * 1024, 'x');
  const auto stall = [&] {
    std::thread sender([&] { SendAll(client, chunk); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(Receive(server, chunk.size()).size(), chunk.size());
    sender.join();
  };
  stall();
  EXPECT_EQ(During(stall), DuringNothing());
}

TEST_F(Allocations, NoneForAConnectionOnceAsManyHaveBeenOpen) {
  StartForwarder();
  Serve({endpoint_.address()});
  const auto come_and_go = [&] {
    for (int i = 0; i < 100; ++i) {
      Fd client = Call();
      Fd server = endpoint_.Accept();
      client.Reset();
      server.Reset();
      ASSERT_TRUE(AllGone());  // else more are open at once than in the round before
    }
  };
  {
    // libevent keeps a record for each descriptor number it has seen; see more of them than come.
    std::vector<Fd> clients, servers;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(Call());
      servers.push_back(endpoint_.Accept());
    }
  }
  ASSERT_TRUE(AllGone());
  EXPECT_EQ(During(come_and_go), DuringNothing());
}

}  // namespace
}  // namespace portolan::proxy
