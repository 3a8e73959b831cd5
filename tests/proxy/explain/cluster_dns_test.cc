#include "proxy/explain/cluster_dns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "tests/proxy/explain/odd_server.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class ClusterDnsTest : public ::testing::Test {
 protected:
  json Ask(std::vector<SocketAddress> servers, std::vector<std::string> names,
           absl::Duration patience = absl::Seconds(60)) {
    std::optional<json> got;
    const ClusterDnsLookups lookups(loop_, std::move(servers), std::move(names), 1, patience,
                                    [&](json cluster_dns) {
                                      got = std::move(cluster_dns);
                                      loop_.Stop();
                                    });
    EXPECT_FALSE(got.has_value()) << "before the constructor returned";
    loop_.Run();
    return *got;
  }

  EventLoop loop_;
  OddServer server_{loop_};
  // Nobody listens there.
  const SocketAddress nobody_ = *SocketAddress::Parse("127.0.0.1:1");
};

TEST_F(ClusterDnsTest, ShowsTheLookupsUpToTheFirstWithAnAnswerAndWhoGaveIt) {
  const json said = Ask({server_.address()}, {"backend.default.", "backend.svc.", "backend."});
  EXPECT_EQ(said["servers"], json::array({server_.address().ToString()}));
  ASSERT_EQ(said["lookups"].size(), 2u);
  EXPECT_EQ(said["lookups"][0]["rcode"], "NXDOMAIN");
  const json& answered = said["lookups"][1];
  EXPECT_EQ(answered["name"], "backend.svc.");
  EXPECT_EQ(answered["answers"][0], "backend.svc. 30 IN A 10.43.0.123");
  EXPECT_EQ(answered["asked"], server_.address().ToString());
  EXPECT_GE(answered["tookMs"], 0);
}

TEST_F(ClusterDnsTest, TheNextServerIsAskedWhereTheFirstIsNotThere) {
  const json said = Ask({nobody_, server_.address()}, {"backend.svc."});
  EXPECT_EQ(said["lookups"][0]["asked"], server_.address().ToString());
}

TEST_F(ClusterDnsTest, WhereNobodyListensThatIsSaidAtOnce) {
  const json said = Ask({nobody_}, {"backend.svc."});
  EXPECT_THAT(said["lookups"][0]["error"].get<std::string>(), HasSubstr("Connection refused"));
}

TEST_F(ClusterDnsTest, WhatIsNotAnsweredInTimeIsSaid) {
  const json said = Ask({server_.address()}, {"silent.", "backend.svc."}, absl::Milliseconds(1));
  EXPECT_EQ(said["lookups"][0]["error"], "no answer in time");
}

TEST_F(ClusterDnsTest, WithoutAServerNobodyIsAsked) {
  EXPECT_EQ(Ask({}, {"backend.svc."})["lookups"][0]["error"], "no nameserver is known");
}

TEST_F(ClusterDnsTest, PassesOverWhatIsNoName) {
  const json said = Ask({server_.address()}, {std::string(70, 'a') + ".", "backend.svc."});
  EXPECT_EQ(said["lookups"][0]["error"], "this is no name that can be asked for");
  EXPECT_EQ(said["lookups"][1]["rcode"], "NOERROR");
  EXPECT_EQ(server_.questions, 1);
}

}  // namespace
}  // namespace portolan::proxy
