// No heap allocation while bytes flow or connections come and go.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "common/line_output.h"
#include "tests/proxy/forwarder/allocations.h"
#include "tests/proxy/forwarder/loopback.h"

namespace portolan::proxy {
namespace {

class Allocations : public ForwarderTest {
 protected:
  static void SetUpTestSuite() {
    ForwarderTest::SetUpTestSuite();
    CountLibeventToo();
  }

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

  void ComeAndGo() {
    for (int i = 0; i < 100; ++i) {
      Fd client = Redirected(dialled_at_);
      Fd server = endpoint_.Accept();
      client.Reset();
      server.Reset();
      ASSERT_TRUE(AllGone());  // else more are open at once than in the round before
    }
  }
  // libevent keeps a record for each descriptor number it has seen; see more of them than come.
  void ComeAndGoBefore() {
    std::vector<Fd> clients, servers;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(Redirected(dialled_at_));
      servers.push_back(endpoint_.Accept());
    }
    clients.clear();
    servers.clear();
    ASSERT_TRUE(AllGone());
  }

  Endpoint endpoint_;
  SocketAddress dialled_at_ = At(kService);
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
  ComeAndGoBefore();
  EXPECT_EQ(During([this] { ComeAndGo(); }), DuringNothing());
}

TEST_F(Allocations, NoneForAConnectionThatIsLogged) {
  const Fd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  LineOutput output(null.get());
  StartForwarder({.access_log = &output});
  Serve({endpoint_.address()});
  ComeAndGoBefore();
  EXPECT_EQ(During([this] { ComeAndGo(); }), DuringNothing());
  EXPECT_GE(counters_->access_logged.value(), 100u);
  StopForwarder();
}

TEST_F(Allocations, NoneForAConnectionThatIsPassedThroughToAKnownPod) {
  StartForwarder();
  Directory directory;
  directory.Put(AddressOwner{endpoint_.address().ip, {"default", "web-0"}});
  SetRoutes(RouteTableBuilder().Apply(directory.Commit(), EndpointsHeld::kAll));
  dialled_at_ = endpoint_.address();
  ComeAndGoBefore();
  EXPECT_EQ(During([this] { ComeAndGo(); }), DuringNothing());
}

}  // namespace
}  // namespace portolan::proxy
