// What becomes of a cache when the Corefile, or a file that it names, changes.
#include <gtest/gtest.h>

#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::CorefileServer;
using wire::type::kA;

constexpr char kBefore[] = ".:53 {\n cache 30\n forward . UPSTREAM\n}\n";

// How often the upstream is asked for a name that it was asked for before the change.
size_t AskedAgainAfter(const std::string& corefile) {
  CorefileServer server(kBefore);
  server.Ask("a.example", kA);
  EXPECT_EQ(server.upstream().udp_queries.size(), 1u);
  server.Use(corefile);
  EXPECT_EQ(test::Answers(server.Ask("a.example", kA)).size(), 1u);
  return server.upstream().udp_queries.size() - 1;
}

TEST(CacheReload, WhatIsHeldStaysWhereTheCacheAndItsServersAreTheSame) {
  EXPECT_EQ(AskedAgainAfter(kBefore), 0u);
  EXPECT_EQ(AskedAgainAfter(".:53 {\n hosts {\n 10.0.0.1 b.example\n fallthrough\n }\n errors\n"
                            " forward  .  UPSTREAM # the same\n cache 30\n}\n"),
            0u);
  EXPECT_EQ(AskedAgainAfter(std::string(kBefore) + "b.example:53 {\n cache 5\n}\n"), 0u);
}

TEST(CacheReload, AnotherCacheOrOtherServersBeginEmpty) {
  EXPECT_EQ(AskedAgainAfter(".:53 {\n cache 31\n forward . UPSTREAM\n}\n"), 1u);
  EXPECT_EQ(AskedAgainAfter(".:53 {\n cache 30 {\n keepttl\n }\n forward . UPSTREAM\n}\n"), 1u);
  EXPECT_EQ(AskedAgainAfter("a.example:53 {\n cache 30\n forward . UPSTREAM\n}\n"), 1u);
  EXPECT_EQ(AskedAgainAfter(".:5353 {\n cache 30\n forward . UPSTREAM\n}\n"), 1u);
  EXPECT_EQ(AskedAgainAfter(".:53 {\n cache 30\n forward . UPSTREAM {\n max_fails 1\n }\n}\n"), 1u);
  EXPECT_EQ(AskedAgainAfter(".:53 {\n cache 30\n}\n"), 1u);
}

TEST(CacheReload, NothingIsHeldOnceNoCacheIs) {
  CorefileServer server(kBefore);
  server.Ask("a.example", kA);
  server.Use(".:53 {\n forward . UPSTREAM\n}\n");
  server.Ask("a.example", kA);
  server.Use(kBefore);
  server.Ask("a.example", kA);
  EXPECT_EQ(server.upstream().udp_queries.size(), 3u);
}

TEST(CacheReload, AQuestionUnderWayEndsByTheOldChainAndIsKeptForTheNew) {
  CorefileServer server(kBefore);
  server.upstream().udp = [&](const test::Bytes& query) {
    if (server.upstream().udp_queries.size() == 1) server.Use(kBefore);
    return std::vector<test::Bytes>{test::Answer(query)};
  };
  EXPECT_EQ(test::Answers(server.Ask("a.example", kA)).size(), 1u);
  EXPECT_EQ(test::Answers(server.Ask("a.example", kA)).size(), 1u);
  EXPECT_EQ(server.upstream().udp_queries.size(), 1u);
}

}  // namespace
}  // namespace portolan::dns
