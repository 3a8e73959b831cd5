// A worker with a listener in front of a Corefile's chains, and a client of it. All on one loop.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/server/server.h"
#include "dns/upstream/upstream.h"
#include "tests/dns/upstream/upstream_fixture.h"

namespace portolan::dns::test {

class Listening : public ::testing::Test {
 protected:
  Listening() {
    auto server = Server::Start(loop_, {.listen = {{*IpAddress::Parse("127.0.0.1"), 0}}});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    socket_ = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage address;
    const socklen_t length = own().ToSockaddr(&address);
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  ~Listening() override {
    chains_.reset();
    server_.reset();
  }

  SocketAddress own() const { return server_->addresses().at(0); }

  void Start(std::string_view text, std::vector<SocketAddress> pod_resolvers = {},
             DialledInstead dialled_instead = {}) {
    auto corefile = corefile::ParseCorefile(text, "Corefile", {});
    ASSERT_TRUE(corefile.ok()) << corefile.status();
    LoadOptions options;
    options.hosts_file = "/dev/null";
    auto config = LoadConfig(*corefile, options);
    ASSERT_TRUE(config.ok()) << config.status();
    chains_ = (*config)->Instantiate({.loop = loop_,
                                      .cluster = cluster_,
                                      .upstream = upstream_,
                                      .pod_resolvers = std::move(pod_resolvers),
                                      .dialled_instead = std::move(dialled_instead)});
    server_->SetChains(chains_->zones());
  }

  void Send(const Bytes& query) {
    ASSERT_EQ(send(socket_.get(), query.data(), query.size(), 0),
              static_cast<ssize_t>(query.size()));
  }
  // Empty if none comes.
  Bytes Receive(absl::Duration limit = absl::Seconds(3)) {
    Bytes reply(4096);
    ssize_t bytes = -1;
    RunUntil(
        loop_,
        [&] {
          if (bytes < 0) bytes = recv(socket_.get(), reply.data(), reply.size(), 0);
          return bytes >= 0;
        },
        limit);
    reply.resize(static_cast<size_t>(std::max<ssize_t>(bytes, 0)));
    return reply;
  }
  Bytes Ask(std::string_view name) {
    Send(MakeQuery(name, wire::type::kA, kEdns));
    return Receive();
  }
  void RunFor(absl::Duration time) {
    RunUntil(
        loop_, [] { return false; }, time);
  }

  EventLoop loop_;
  ClusterDataHolder cluster_;
  upstream::Upstream upstream_{loop_};
  std::unique_ptr<Server> server_;
  std::unique_ptr<Chains> chains_;
  Fd socket_;
};

inline int RcodeOf(const Bytes& reply) { return reply.size() < 12 ? -1 : reply[3] & 15; }
inline int AnswersOf(const Bytes& reply) {
  return reply.size() < 12 ? -1 : wire::Load16(&reply[6]);
}

}  // namespace portolan::dns::test
