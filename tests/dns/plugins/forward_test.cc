#include "dns/plugins/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"
#include "tests/dns/plugins/listening.h"

namespace portolan::dns {
namespace {

using test::Answer;
using test::AnswersOf;
using test::Bytes;
using test::RcodeOf;
using ::testing::HasSubstr;

// `forward . ...` with that text behind it.
absl::StatusOr<ForwardConfig> Parse(std::string_view text,
                                    std::vector<std::string>* notes = nullptr) {
  std::vector<std::string> unread;
  auto corefile =
      corefile::ParseCorefile(fmt::format(". {{\nforward {}\n}}", text), "Corefile", {});
  if (!corefile.ok()) return corefile.status();
  return ParseForward(corefile->blocks[0].directives[0], notes != nullptr ? notes : &unread);
}

std::string Error(std::string_view text) {
  auto config = Parse(text);
  return config.ok() ? "no error" : std::string(Message(config.status()));
}

TEST(ParseForward, CoreDnssDefaultsHold) {
  const auto config = Parse(". 9.9.9.9");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto& options = config->servers.options;
  EXPECT_EQ(config->servers.policy, upstream::Policy::kRandom);
  EXPECT_EQ(config->servers.servers.at(0).address.ToString(), "9.9.9.9:53");
  EXPECT_EQ(options.streams.expire, absl::Seconds(10));
  EXPECT_EQ(options.streams.max_idle, 0u);
  EXPECT_EQ(options.health.interval, absl::Milliseconds(500));
  EXPECT_EQ(options.health.max_fails, 2);
  EXPECT_TRUE(options.health.recursion_desired);
  EXPECT_EQ(config->servers.max_concurrent, 0u);
}

TEST(ParseForward, OptionsAreReadAsCoreDnsReadsThem) {
  const auto config = Parse(R"(. 9.9.9.9 {
    force_tcp
    prefer_udp
    expire 30s
    max_idle_conns 3
    max_fails 5
    max_concurrent 1000
    max_connect_attempts 4
    health_check 1s no_rec domain Example.org
    policy round_robin
    failover servfail REFUSED
    next NXDOMAIN
    next_on_nodata
    failfast_all_unhealthy_upstreams
    randomize_case
  })");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto& servers = config->servers;
  EXPECT_EQ(servers.options.transports, upstream::Transports::kTcpOnly);
  EXPECT_EQ(servers.options.streams.expire, absl::Seconds(30));
  EXPECT_EQ(servers.options.streams.max_idle, 3u);
  EXPECT_EQ(servers.options.health.max_fails, 5);
  EXPECT_EQ(servers.options.health.interval, absl::Seconds(1));
  EXPECT_FALSE(servers.options.health.recursion_desired);
  EXPECT_EQ(servers.options.health.domain, wire::Zone::Parse("example.org")->wire);
  EXPECT_EQ(servers.max_concurrent, 1000u);
  EXPECT_EQ(servers.max_attempts, 4u);
  EXPECT_EQ(servers.policy, upstream::Policy::kRoundRobin);
  EXPECT_EQ(servers.rules.failover, (std::vector<uint16_t>{2, 5}));
  EXPECT_EQ(servers.rules.next, std::vector<uint16_t>{3});
  EXPECT_TRUE(servers.rules.next_on_nodata);
  EXPECT_TRUE(servers.fail_fast);
  EXPECT_TRUE(servers.randomize_case);
}

TEST(ParseForward, TlsServersHaveAPortAndANameInCoreDnssForms) {
  const auto config = Parse(
      ". tls://9.9.9.9 tls://9.9.9.9%dns.quad9.net tls://9.9.9.9%dns.quad9.net:10853 "
      "tls://9.9.9.9:10853%dns.quad9.net tls://[2620:fe::fe]:10853 tls://2620:fe::fe%x. 1.1.1.1");
  ASSERT_TRUE(config.ok()) << config.status();
  std::vector<std::string> read;
  for (const upstream::ServerConfig& server : config->servers.servers) {
    read.push_back(fmt::format("{} {}{}", server.tls ? "tls" : "plain", server.address.ToString(),
                               server.tls_name.empty() ? "" : " " + server.tls_name));
  }
  EXPECT_THAT(read, testing::ElementsAre(
                        "tls 9.9.9.9:853", "tls 9.9.9.9:853 dns.quad9.net",
                        "tls 9.9.9.9:10853 dns.quad9.net", "tls 9.9.9.9:10853 dns.quad9.net",
                        "tls [2620:fe::fe]:10853", "tls [2620:fe::fe]:853 x", "plain 1.1.1.1:53"));
  EXPECT_NE(config->servers.options.trust, nullptr);
}

TEST(ParseForward, TlsServernameIsForAllTlsServers) {
  const auto config =
      Parse(". tls://1.1.1.1 tls://1.0.0.1 {\n tls_servername cloudflare-dns.com\n}");
  ASSERT_TRUE(config.ok()) << config.status();
  for (const upstream::ServerConfig& server : config->servers.servers) {
    EXPECT_EQ(server.tls_name, "cloudflare-dns.com");
  }
}

TEST(ParseForward, ErrorsNameThePlaceAndTheWord) {
  const std::pair<std::string_view, std::string_view> wrong[] = {
      {". tls://dns.example", "Corefile:2:11: 'tls://dns.example' has no address"},
      {". tls://9.9.9.9%a..b", "Corefile:2:11: 'tls://9.9.9.9%a..b': 'a..b' is not a name"},
      {". tls://9.9.9.9:853%x:853", "Corefile:2:11: "},
      {". tls://9.9.9.9%x:http", "'http' is not its port"},
      {". 9.9.9.9:0", "'9.9.9.9:0' is neither an address nor a file"},
      {". https://9.9.9.9", "https:// is not supported"},
      {". tls://9.9.9.9%x {\n tls_servername y\n}",
       "Corefile:3:17: 'y': 'tls://9.9.9.9%x' has a name of its own"},
      {". tls://9.9.9.9 {\n tls /nonexistent\n}", "Corefile:3:2: CA file /nonexistent: "},
      {". tls://9.9.9.9 {\n tls a b c d\n}", "Corefile:3:12: 'd': tls takes at most 3"},
      {". 9.9.9.9 {\n failover SERVFIAL\n}",
       "Corefile:3:11: unknown rcode 'SERVFIAL', did you mean 'SERVFAIL'?"},
      {". 9.9.9.9 {\n failover NOERROR\n}", "Corefile:3:11: failover cannot be for NOERROR"},
      {". 9.9.9.9 {\n next\n}", "Corefile:3:2: next needs at least 1 argument"},
      {". 9.9.9.9 {\n health_check 5\n}", "Corefile:3:15: '5' is not a duration"},
      {". 9.9.9.9 {\n health_check 5s norec\n}",
       "Corefile:3:18: unknown word 'norec' of health_check, did you mean 'no_rec'?"},
      {". 9.9.9.9 {\n health_check 5s domain\n}", "Corefile:3:18: domain needs a name"},
      {". 9.9.9.9 {\n expire soon\n}", "Corefile:3:9: 'soon' is not a duration"},
      {". 9.9.9.9 {\n max_fails many\n}", "Corefile:3:12: 'many' is not a number"},
      {". 9.9.9.9 {\n randomise_case\n}",
       "Corefile:3:2: unknown option 'randomise_case' of forward, did you mean 'randomize_case'?"},
  };
  for (const auto& [text, error] : wrong) EXPECT_THAT(Error(text), HasSubstr(error)) << text;
}

class ForwardTest : public test::Listening {
 protected:
  static test::FakeServer::Handler Says(wire::Rcode rcode, size_t answers = 0) {
    return [=](const Bytes& query) { return std::vector<Bytes>{Answer(query, answers, rcode)}; };
  }
  // Two `forward`s, the first with `rules`.
  void StartTwo(std::string_view rules) {
    Start(fmt::format(". {{\n forward . {} {{\n  {}\n }}\n forward . {}\n}}",
                      first_.address.ToString(), rules, second_.address.ToString()));
  }

  test::FakeServer first_{loop_};
  test::FakeServer second_{loop_};
};

TEST_F(ForwardTest, NextLeadsToTheNextForwardOnTheseRcodes) {
  StartTwo("next NXDOMAIN");
  first_.udp = Says(wire::Rcode::kNxDomain);
  EXPECT_EQ(AnswersOf(Ask("a.example")), 1);
  first_.udp = Says(wire::Rcode::kServFail);
  EXPECT_EQ(RcodeOf(Ask("b.example")), 2);
}

TEST_F(ForwardTest, NextOnNodataLeadsToTheNextForward) {
  StartTwo("next_on_nodata");
  first_.udp = Says(wire::Rcode::kNoError);
  EXPECT_EQ(AnswersOf(Ask("a.example")), 1);
  first_.udp = Says(wire::Rcode::kNxDomain);
  EXPECT_EQ(RcodeOf(Ask("b.example")), 3);
}

TEST_F(ForwardTest, WithoutAnotherForwardNextIsIgnored) {
  Start(". {\n forward . " + first_.address.ToString() + " {\n  next NXDOMAIN\n }\n}");
  first_.udp = Says(wire::Rcode::kNxDomain);
  EXPECT_EQ(RcodeOf(Ask("a.example")), 3);
}

TEST_F(ForwardTest, WithAnEmptyResolvConfTheAnswerSaysSoAndLocalNamesAreAnswered) {
  Start(". {\n hosts {\n  10.0.0.1 local.example\n  fallthrough\n }\n loop\n}", {});
  const Bytes reply = Ask("www.example.org");
  EXPECT_EQ(RcodeOf(reply), 2);
  EXPECT_EQ(test::ErrorIn(reply), "22 no upstream is configured");
  EXPECT_EQ(AnswersOf(Ask("local.example")), 1);
}

TEST_F(ForwardTest, AnUpstreamThatIsAServiceIsDialledByItsEndpoints) {
  first_.udp = Says(wire::Rcode::kNoError);
  second_.udp = Says(wire::Rcode::kNxDomain);
  const SocketAddress service = *SocketAddress::Parse("192.0.2.10:53");
  const SocketAddress other = *SocketAddress::Parse("192.0.2.11:53");
  Start(". {\n forward example 192.0.2.11\n forward . /etc/resolv.conf\n}", {service},
        {{{service}, {first_.address}}, {{other}, {second_.address}}});
  EXPECT_EQ(RcodeOf(Ask("www.example.org")), 0);
  EXPECT_EQ(RcodeOf(Ask("www.example")), 3);
}

TEST_F(ForwardTest, AnEndpointOfAServiceThatDoesNotAnswerIsHedgedByAnother) {
  first_.udp = [](const Bytes&) { return std::vector<Bytes>(); };
  second_.udp = Says(wire::Rcode::kNxDomain);
  const SocketAddress service = *SocketAddress::Parse("192.0.2.10:53");
  Start(". {\n}", {service}, {{{service}, {first_.address, second_.address}}});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(RcodeOf(Ask("a" + std::to_string(i) + ".example")), 3);
}

TEST(ForwardUpstreams, AreThoseOfTheCorefileThatMayBeDialledByAnotherAddress) {
  const auto corefile = corefile::ParseCorefile(
      ". {\n forward a 192.0.2.1 tls://192.0.2.2 tls://192.0.2.3%dns.example\n"
      " forward b 192.0.2.4:5353 {\n  force_tcp\n }\n forward . /etc/resolv.conf\n}",
      "Corefile", {});
  ASSERT_TRUE(corefile.ok());
  const auto config = LoadConfig(*corefile, {});
  ASSERT_TRUE(config.ok()) << config.status();
  const auto at = [](const char* text, Protocol protocol) {
    return UpstreamAddress{*SocketAddress::Parse(text), protocol};
  };
  EXPECT_THAT((*config)->upstreams(), testing::ElementsAre(at("192.0.2.1:53", Protocol::kUdp),
                                                           at("192.0.2.3:853", Protocol::kTcp),
                                                           at("192.0.2.4:5353", Protocol::kTcp)));
}

}  // namespace
}  // namespace portolan::dns
