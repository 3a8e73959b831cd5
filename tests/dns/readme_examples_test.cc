// The examples of CoreDNS's manual (plugin/*/README.md, CoreDNS 1.14 and later) for the directives
// that are active here: each loads, and those of `rewrite` and `template` do what the manual says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/dns/plugins/block.h"
#include "tests/dns/plugins/corefile_server.h"

namespace portolan::dns {
namespace {

using test::AddressBytes;
using test::Bytes;
using test::NameBytes;
using ::testing::HasSubstr;
using wire::Rcode;
using wire::Section;
using wire::type::kA;
using wire::type::kAaaa;
using wire::type::kCname;
using wire::type::kNs;
using wire::type::kPtr;
using wire::type::kSoa;
using wire::type::kTxt;

constexpr uint16_t kMx = 15, kHinfo = 13;

struct Example {
  const char* readme;
  const char* corefile;
};

constexpr Example kExamples[] = {
    {"acl", ". {\n acl {\n block type A net 192.168.0.0/16\n }\n}"},
    {"acl", ". {\n acl {\n filter type A net 192.168.0.0/16\n }\n}"},
    {"acl", ". {\n acl {\n allow net 192.168.1.0/24\n block net 192.168.0.0/16\n }\n}"},
    {"acl", ". {\n acl {\n allow net 192.168.0.0/24 192.168.1.0/24\n block\n }\n}"},
    {"acl", "example.org {\n acl a.example.org {\n block net 192.168.1.0/24\n }\n}"},
    {"acl", ". {\n acl {\n drop type * net 192.0.2.0/24\n }\n}"},
    {"any", "example.org {\n whoami\n any\n}"},
    {"autopath", "cluster.local {\n autopath @kubernetes\n kubernetes {\n pods verified\n }\n}"},
    {"bind", ". {\n bind 127.0.0.1 ::1\n}"},
    {"bind", ". {\n bind lo {\n except 127.0.0.1\n }\n}"},
    {"bufsize", ". {\n bufsize 1100\n forward . 172.31.0.10\n log\n}"},
    {"bufsize", ". {\n bufsize 1232\n forward . 172.31.0.10\n log\n}"},
    {"cache", ". {\n cache 10\n whoami\n}"},
    {"cache", ". {\n forward . 8.8.8.8:53\n cache example.org\n}"},
    {"cache", "example.org {\n cache {\n success 5000\n denial 2500\n }\n}"},
    {"cache", ". {\n cache {\n prefetch 10 1m 10%\n }\n}"},
    {"cache", ". {\n cache {\n disable denial cluster.local\n }\n}"},
    {"cache", ". {\n cache {\n serve_stale 1h verify\n servfail 0\n keepttl\n }\n}"},
    {"chaos", ". {\n chaos CoreDNS-001 info@coredns.io\n}"},
    {"dns64", ". {\n dns64\n}"},
    {"dns64", ". {\n dns64 64:1337::/96\n}"},
    {"dns64", ". {\n dns64 {\n prefix 64:1337::/96\n }\n}"},
    {"dns64", ". {\n dns64 {\n translate_all\n }\n}"},
    {"dns64", ". {\n dns64 {\n allow_ipv4\n }\n}"},
    {"errors", "example.org {\n whoami\n errors\n}"},
    {"errors",
     ". {\n forward . 8.8.8.8\n errors {\n consolidate 5m \".* i/o timeout$\" warning\n"
     " consolidate 30s \"^Failed to .+\"\n }\n}"},
    {"errors",
     ". {\n forward . 8.8.8.8\n errors {\n consolidate 5m \".* i/o timeout$\" warning "
     "show_first\n consolidate 30s \"^Failed to .+\" error show_first\n }\n}"},
    {"forward", "example.org {\n forward . 127.0.0.1:9005\n}"},
    {"forward",
     ". {\n cache\n forward lab.example.local 10.20.0.1\n forward example.local "
     "10.0.0.1\n forward . /etc/resolv.conf\n}"},
    {"forward",
     "lab.example.local {\n cache\n forward . 10.20.0.1\n}\nexample.local {\n cache\n "
     "forward . 10.0.0.1\n}\n. {\n cache\n forward . /etc/resolv.conf\n}"},
    {"forward", ". {\n forward . 10.0.0.10:53 10.0.0.11:1053 [2003::1]:53\n}"},
    {"forward", ". {\n forward . 10.0.0.10:1234 {\n except example.org\n }\n}"},
    {"forward", ". {\n forward . /etc/resolv.conf {\n except example.org\n }\n}"},
    {"forward",
     ". {\n forward . tls://9.9.9.9 {\n tls_servername dns.quad9.net\n health_check 5s\n"
     " }\n cache 30\n}"},
    {"forward",
     ". {\n forward . tls://9.9.9.9 {\n tls_servername dns.quad9.net\n health_check 5s "
     "domain example.org\n }\n cache 30\n}"},
    {"forward",
     ". {\n forward . tls://1.1.1.1 tls://1.0.0.1 {\n tls_servername "
     "cloudflare-dns.com\n health_check 5s\n }\n cache 30\n}"},
    {"forward",
     ". {\n forward . tls://9.9.9.9%dns.quad9.net tls://149.112.112.112%dns.quad9.net\n}"},
    {"forward",
     ". {\n forward . 127.0.0.1:5301 127.0.0.1:5302\n}\n.:5301 {\n forward . "
     "tls://8.8.8.8 tls://8.8.4.4 {\n tls_servername dns.google\n }\n}"},
    {"forward",
     ". {\n forward . 1.2.3.4 {\n next NXDOMAIN\n }\n forward . 5.6.7.8 {\n next "
     "NXDOMAIN\n }\n forward . 9.0.1.2 {\n }\n}"},
    {"forward",
     ". {\n forward . 1.2.3.4 5.6.7.8 9.0.1.2 {\n policy sequential\n failover SERVFAIL "
     "REFUSED\n }\n}"},
    {"header", ". {\n header {\n response set ra\n }\n}"},
    {"header", ". {\n header {\n response set ra aa\n response clear rd\n }\n}"},
    {"header", ". {\n header {\n query set rd\n }\n}"},
    {"header", ". {\n header {\n set ra\n }\n}"},
    {"health", ". {\n health localhost:8091\n}"},
    {"health", ". {\n health localhost:8092 {\n lameduck 1s\n }\n}"},
    {"health", "com {\n whoami\n health :8080\n}\nnet {\n erratic\n health :8081\n}"},
    {"hosts", ". {\n hosts\n}"},
    {"hosts", ". {\n hosts example.hosts\n}"},
    {"hosts", ". {\n hosts example.hosts example.org example.net {\n fallthrough\n }\n}"},
    {"hosts",
     "example.hosts example.org {\n hosts {\n 10.0.0.1 example.org\n fallthrough\n }\n "
     "whoami\n}"},
    {"hosts",
     ". {\n hosts example.hosts example.com {\n 192.168.1.10 *.example.com\n 192.168.1.11 "
     "www.example.com\n fallthrough example.com\n }\n forward . 8.8.8.8\n}"},
    {"kubernetes", "10.0.0.0/17 cluster.local {\n kubernetes {\n pods verified\n }\n}"},
    {"kubernetes", ". {\n kubernetes cluster.local {\n namespaces test staging\n }\n}"},
    {"kubernetes",
     ". {\n kubernetes cluster.local {\n endpoint https://k8s-endpoint:8443\n tls "
     "cert key cacert\n }\n}"},
    {"kubernetes",
     "cluster.local:53 {\n kubernetes cluster.local\n}\nexample.local {\n forward . "
     "10.100.0.10:53\n}\n. {\n forward . 8.8.8.8:53\n}"},
    {"kubernetes",
     ". {\n kubernetes cluster.local {\n labels environment in (staging, "
     "qa),application=nginx\n }\n}"},
    {"loadbalance", ". {\n loadbalance round_robin\n forward . 8.8.8.8 8.8.4.4\n}"},
    {"loadbalance",
     "example.com {\n file ./db.example.com {\n reload 10s\n }\n loadbalance weighted "
     "./db.example.com.weights {\n reload 10s\n }\n}"},
    {"loadbalance", ". {\n loadbalance round_robin {\n prefer 10.0.0.0/8 192.168.0.0/16\n }\n}"},
    {"local", ". {\n local\n}"},
    {"log", ". {\n log\n whoami\n}"},
    {"log", ". {\n log . \"{proto} Request: {name} {type} {>id}\"\n}"},
    {"log", ". {\n log example.org {\n class denial\n }\n}"},
    {"log", ". {\n log . {combined} {\n class denial error\n }\n}"},
    {"log", ". {\n log . {\n class denial success\n }\n}"},
    {"log", ". {\n log . {\n class denial\n class success\n }\n}"},
    {"loop", ". {\n loop\n forward . 127.0.0.1\n}"},
    {"minimal", "example.org {\n whoami\n forward . 8.8.8.8\n minimal\n}"},
    {"nsid", "example.org {\n whoami\n nsid Use The Force\n}"},
    {"prometheus", ". {\n prometheus localhost:9253\n}"},
    {"prometheus", ". {\n prometheus {\n runtime_metrics\n }\n}"},
    {"ready", ". {\n ready localhost:8091\n}"},
    {"reload", ". {\n reload\n erratic\n}"},
    {"reload", ". {\n reload 10s\n erratic\n}"},
    {"rewrite", ". {\n metadata\n rewrite edns0 local set 0xffee {some-plugin/some-label}\n}"},
    {"transfer", ". {\n kubernetes cluster.local\n transfer {\n to * 10.240.1.1\n }\n}"},
    {"whoami", "example.org {\n whoami\n}"},
};

TEST(ReadmeExamples, Load) {
  for (const Example& example : kExamples) {
    const auto config = test::LoadText(example.corefile);
    EXPECT_TRUE(config.ok()) << example.readme << "\n" << example.corefile << config.status();
  }
}

// docs/dns.md says so too.
TEST(ReadmeExamples, ThoseThatAskForWhatASidecarMustNotDoAreErrors) {
  const auto error = [](const char* corefile) {
    const auto config = test::LoadText(corefile);
    return config.ok() ? "no error" : std::string(config.status().message());
  };
  // An answer that was to be private does not travel in the clear.
  EXPECT_THAT(error(". {\n forward . https://9.9.9.9 {\n tls_servername dns.quad9.net\n }\n}"),
              HasSubstr("Corefile:2:12: 'https://9.9.9.9'"));
  EXPECT_THAT(error(". {\n prometheus {\n tls /etc/coredns/web-config.yml\n }\n}"),
              HasSubstr("Corefile:3:2: /metrics is served without TLS here"));
  // Who resolves names cannot need them to start.
  EXPECT_THAT(error(". {\n forward . dns.example.local {\n resolver 10.0.0.1\n }\n}"),
              HasSubstr("Corefile:2:12: 'dns.example.local'"));
  // Of a file that is not there, in CoreDNS too.
  EXPECT_THAT(error(". {\n autopath my-resolv.conf\n}"), HasSubstr("Corefile:2:11: "));
}

class ReadmeTest : public ::testing::Test {
 protected:
  void Load(std::string_view directives) { ASSERT_EQ(block_.Load(directives), ""); }
  // The upstream has `address` for `name`.
  void Say(const std::string& name, const std::string& address, uint32_t ttl = 30) {
    block_.below().says[name + " 1"] = {Rcode::kNoError,
                                        {{Section::kAnswer, name, kA, ttl, AddressBytes(address)}}};
  }
  std::string Ask(std::string_view name, uint16_t type = kA, const test::QueryShape& shape = {}) {
    return block_.Ask(name, type, shape);
  }
  const std::string& asked() { return block_.below().asked.back(); }

  test::Block block_;
};

using RewriteReadme = ReadmeTest;

TEST_F(RewriteReadme, TypeAnyBecomesHinfo) {
  Load("rewrite type ANY HINFO");
  Ask("a.example", wire::type::kAny);
  EXPECT_EQ(asked(), "a.example. " + std::to_string(kHinfo));
}

TEST_F(RewriteReadme, ClassChBecomesIn) {
  Load("rewrite class CH IN");
  Ask("a.example", kTxt, {.qclass = wire::kClassChaos});
  EXPECT_EQ(asked(), "a.example. 16");
}

TEST_F(RewriteReadme, AnExactNameIsTurnedBackByItself) {
  Load("rewrite name exact RED BLUE");
  Say("blue.", "192.0.2.1");
  EXPECT_EQ(Ask("red"), "0\nred. 30 A 192.0.2.1");
}

TEST_F(RewriteReadme, ASubstringIsReplaced) {
  Load("rewrite name substring service.us-west-1.example.org service.us-west-1.consul");
  Ask("ftp.service.us-west-1.example.org");
  EXPECT_EQ(asked(), "ftp.service.us-west-1.consul. 1");
}

TEST_F(RewriteReadme, ARegexIsReplacedByItsGroupsAndTheAnswerIsAMismatchWithoutARuleForIt) {
  Load(R"(rewrite name regex (.*)-(us-west-1)\.coredns\.rocks {1}.service.{2}.consul)");
  Say("ftp.service.us-west-1.consul.", "10.10.10.10", 0);
  EXPECT_EQ(Ask("ftp-us-west-1.coredns.rocks"), "0\nftp.service.us-west-1.consul. 0 A 10.10.10.10");
}

TEST_F(RewriteReadme, ASuffixIsReplaced) {
  Load("rewrite name suffix .schmoogle.com. .google.com.");
  Ask("mail.schmoogle.com");
  EXPECT_EQ(asked(), "mail.google.com. 1");
}

TEST_F(RewriteReadme, AutoTurnsASuffixBack) {
  Load("rewrite stop {\n name suffix .coredns.rocks .service.consul answer auto\n}");
  Say("ftp.service.consul.", "10.10.10.10");
  EXPECT_EQ(Ask("ftp.coredns.rocks"), "0\nftp.coredns.rocks. 30 A 10.10.10.10");
}

TEST_F(RewriteReadme, AnAnswerNameRuleTurnsOwnersBack) {
  Load(R"(rewrite stop {
      name regex (.*)-(us-west-1)\.coredns\.rocks {1}.service.{2}.consul
      answer name (.*)\.service\.(us-west-1)\.consul {1}-{2}.coredns.rocks
    })");
  Say("ftp.service.us-west-1.consul.", "10.20.20.20");
  EXPECT_EQ(Ask("ftp-us-west-1.coredns.rocks"), "0\nftp-us-west-1.coredns.rocks. 30 A 10.20.20.20");
}

TEST_F(RewriteReadme, AnAnswerValueRuleTurnsPtrRecordsBack) {
  Load(R"(rewrite stop {
      name suffix .arpa .arpa
      answer name auto
      answer value (.*)\.service\.consul\. {1}.coredns.rocks.
    })");
  block_.below().says["30.30.30.10.in-addr.arpa."] = {
      Rcode::kNoError,
      {{Section::kAnswer, "30.30.30.10.in-addr.arpa", kPtr, 60,
        NameBytes("ftp-us-west-1.service.consul")}}};
  EXPECT_EQ(Ask("30.30.30.10.in-addr.arpa", kPtr),
            "0\n30.30.30.10.in-addr.arpa. 60 PTR ftp-us-west-1.coredns.rocks.");
}

TEST_F(RewriteReadme, FurtherAnswerRulesMayGoWithoutTheWord) {
  Load(
      R"(rewrite name regex (.*)\.rocks {1}.consul answer name (.*)\.consul {1}.rocks value (.*)\.consul {1}.rocks)");
  block_.below().says["a.consul."] = {
      Rcode::kNoError, {{Section::kAnswer, "a.consul", kCname, 5, NameBytes("b.consul")}}};
  EXPECT_EQ(Ask("a.rocks", kCname), "0\na.rocks. 5 CNAME b.rocks.");
}

TEST_F(RewriteReadme, OfSeveralRulesTheAnswersAreTurnedBackInReverse) {
  Load(
      "rewrite continue name suffix .a .b answer auto\n"
      "rewrite continue name suffix .b .c answer auto\nrewrite name suffix .c .d answer auto");
  Say("x.d.", "192.0.2.7");
  EXPECT_EQ(Ask("x.a"), "0\nx.a. 30 A 192.0.2.7");
}

TEST_F(RewriteReadme, TtlsAreSetByNameAndBounded) {
  const auto ttl = [&](const std::string& rule, uint32_t of_upstream) {
    EXPECT_EQ(block_.Load("rewrite " + rule), "");
    Say("www.coredns.rocks.", "192.0.2.1", of_upstream);
    return Ask("www.coredns.rocks");
  };
  const std::string kName = "0\nwww.coredns.rocks. ", kAddress = " A 192.0.2.1";
  EXPECT_EQ(ttl("continue {\n ttl regex (.*)\\.coredns\\.rocks 15\n}", 0), kName + "15" + kAddress);
  EXPECT_EQ(ttl("ttl www.coredns.rocks. 30-300", 5), kName + "30" + kAddress);
  EXPECT_EQ(ttl("ttl www.coredns.rocks. 30-300", 500), kName + "300" + kAddress);
  EXPECT_EQ(ttl("ttl www.coredns.rocks. 30-300", 50), kName + "50" + kAddress);
  EXPECT_EQ(ttl("ttl www.coredns.rocks. -30", 50), kName + "30" + kAddress);
  EXPECT_EQ(ttl("ttl www.coredns.rocks. 30-", 5), kName + "30" + kAddress);
  EXPECT_EQ(ttl("ttl www.coredns.rocks. 30", 500), kName + "30" + kAddress);
}

TEST_F(RewriteReadme, AnRcodeBecomesAnotherByWordOrNumber) {
  for (const char* codes : {"SERVFAIL NOERROR", "2 0"}) {
    Load("rewrite continue {\n rcode regex (.*)\\.coredns\\.rocks " + std::string(codes) + "\n}");
    block_.below().says["a.coredns.rocks."] = {Rcode::kServFail, {}};
    EXPECT_EQ(Ask("a.coredns.rocks", kAaaa), "0") << codes;
  }
  for (const char* code : {"YXDOMAIN", "NXRRSET", "NOTZONE", "BADSIG", "BADKEY", "BADTRUNC",
                           "BADCOOKIE", "FORMERR", "NOTIMP"}) {
    EXPECT_EQ(block_.Load("rewrite rcode a.example " + std::string(code) + " NOERROR"), "");
  }
}

TEST_F(RewriteReadme, EdnsOptionsOfTheQuestionAreSet) {
  const auto options = [&](std::string_view rule) {
    EXPECT_EQ(block_.Load(rule), "");
    Ask("a.example");
    return block_.below().edns_options;
  };
  const Bytes kAbcd = {0xff, 0xee, 0, 4, 'a', 'b', 'c', 'd'};
  EXPECT_EQ(options("rewrite edns0 local set 0xffee 0x61626364"), kAbcd);
  EXPECT_EQ(options("rewrite edns0 local set 0xffee abcd"), kAbcd);
  EXPECT_EQ(options("rewrite edns0 local set 0xffee {client_ip}"),
            (Bytes{0xff, 0xee, 0, 4, 10, 42, 0, 9}));
  EXPECT_EQ(options("rewrite edns0 subnet set 24 56"), (Bytes{0, 8, 0, 7, 0, 1, 24, 0, 10, 42, 0}));
}

TEST_F(RewriteReadme, ACnamesTargetIsReplacedAndItsRecordsWithIt) {
  Load("rewrite cname regex (.*).cdn.example.net. {1}.other.cdn.com.");
  block_.below().says["my-app.com."] = {
      Rcode::kNoError,
      {{Section::kAnswer, "my-app.com", kCname, 200, NameBytes("my-app.com.cdn.example.net")},
       {Section::kAnswer, "my-app.com.cdn.example.net", kA, 300, AddressBytes("20.2.0.1")}}};
  Say("my-app.com.other.cdn.com.", "30.3.1.2", 100);
  EXPECT_EQ(Ask("my-app.com"),
            "0\nmy-app.com. 200 CNAME my-app.com.other.cdn.com.\n"
            "my-app.com.other.cdn.com. 100 A 30.3.1.2");
}

using TemplateReadme = ReadmeTest;

TEST_F(TemplateReadme, EverythingIsNxdomain) {
  Load("template ANY ANY {\n rcode NXDOMAIN\n}");
  EXPECT_EQ(Ask("a.example"), "3");
  EXPECT_EQ(Ask("a.example", kTxt, {.qclass = wire::kClassChaos}), "3");
  EXPECT_TRUE(block_.below().asked.empty());
}

TEST_F(TemplateReadme, ADynamicDomainHasSoaAndNs) {
  block_.zone = "engineering.coredns.io.";
  Load(R"x(template IN SOA {
      match ^engineering\.coredns\.io\.$
      answer "{{ .Zone }} 3600 IN SOA ns1.{{ .Zone }} admin.{{ .Zone }} (1 60 120 86400 3600)"
      fallthrough
    }
    template IN SOA {
      authority "{{ .Zone }} 3600 IN SOA h.{{ .Zone }} {{ .Zone }} (1 60 120 86400 3600)"
    }
    template IN NS {
      match ^engineering\.coredns\.io\.$
      answer "{{ .Zone }} 900 IN NS ns1.engineering.coredns.io."
      answer "{{ .Zone }} 900 IN NS ns2.engineering.coredns.io."
      fallthrough
    }
    template IN NS {
      authority "{{ .Zone }} 3600 IN SOA h.{{ .Zone }} {{ .Zone }} (1 60 120 86400 3600)"
    })x");
  EXPECT_THAT(Ask("engineering.coredns.io", kSoa),
              HasSubstr("0\nengineering.coredns.io. 3600 SOA ns1.engineering.coredns.io. "
                        "admin.engineering.coredns.io."));
  EXPECT_EQ(Ask("engineering.coredns.io", kNs),
            "0\nengineering.coredns.io. 900 NS ns1.engineering.coredns.io."
            "\nengineering.coredns.io. 900 NS ns2.engineering.coredns.io.");
  EXPECT_THAT(Ask("a.engineering.coredns.io", kNs),
              HasSubstr("0|\nengineering.coredns.io. 3600 SOA h.engineering.coredns.io."));
}

TEST_F(TemplateReadme, InvalidIsNxdomainWithAnSoaInClassChToo) {
  Load(R"x(template ANY ANY invalid {
      rcode NXDOMAIN
      authority "invalid. 60 {{ .Class }} SOA ns.invalid. hostmaster.invalid. (1 60 60 60 60)"
      ederror 21 "Blocked according to RFC2606"
    })x");
  const std::string kSoaOfInvalid = "3|\ninvalid. 60 SOA ns.invalid. hostmaster.invalid.";
  EXPECT_THAT(Ask("a.invalid"), HasSubstr(kSoaOfInvalid));
  EXPECT_THAT(Ask("a.invalid", kTxt, {.qclass = wire::kClassChaos}), HasSubstr(kSoaOfInvalid));
}

TEST_F(TemplateReadme, SearchDomainCompletionsAreBlockedByZone) {
  Load(R"x(template IN ANY example.com.dc1.example.com {
      rcode NXDOMAIN
      authority "{{ .Zone }} 60 IN SOA ns.example.com hostmaster.example.com (1 60 60 60 60)"
    })x");
  EXPECT_THAT(Ask("something.example.com.dc1.example.com"),
              HasSubstr("3|\nexample.com.dc1.example.com. 60 SOA ns.example.com."));
  Ask("something.dc1.example.com");
  EXPECT_EQ(asked(), "something.dc1.example.com. 1");
}

TEST_F(TemplateReadme, SearchDomainCompletionsAreBlockedByRegex) {
  Load(R"x(template IN ANY example.com {
      match "example\.com\.(dc1\.example\.com\.)$"
      rcode NXDOMAIN
      authority "{{ index .Match 1 }} 60 IN SOA ns.{{ index .Match 1 }} hostmaster.{{ index .Match 1 }} (1 60 60 60 60)"
      fallthrough
    })x");
  EXPECT_THAT(Ask("something.example.com.dc1.example.com"),
              HasSubstr("3|\ndc1.example.com. 60 SOA ns.dc1.example.com. hostmaster.dc1."));
  Ask("something.dc1.example.com");
  EXPECT_EQ(asked(), "something.dc1.example.com. 1");
}

TEST_F(TemplateReadme, NamesHoldTheirAddressAndItsReverse) {
  Load(R"x(template IN A example {
      match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$
      answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
      fallthrough
    }
    template IN PTR in-addr.arpa {
      match ^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$
      answer "{{ .Name }} 60 IN PTR ip-{{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}.example."
    })x");
  EXPECT_EQ(Ask("a.ip-192-0-2-7.example"), "0\na.ip-192-0-2-7.example. 60 A 192.0.2.7");
  EXPECT_EQ(Ask("7.2.0.192.in-addr.arpa", kPtr),
            "0\n7.2.0.192.in-addr.arpa. 60 PTR ip-192-0-2-7.example.");
}

TEST_F(TemplateReadme, HexadecimalAddressesAreRead) {
  Load(R"x(template IN A example {
      match "^ip0a(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})(?P<d>[a-f0-9]{2})[.]example[.]$"
      answer "{{ .Name }} 60 IN A 10.{{ parseInt .Group.b 16 8 }}.{{ parseInt .Group.c 16 8 }}.{{ parseInt .Group.d 16 8 }}"
      fallthrough
    })x");
  EXPECT_EQ(Ask("ip0a7b7b7b.example"), "0\nip0a7b7b7b.example. 60 A 10.123.123.123");
}

TEST_F(TemplateReadme, SeveralPatternsShareAnAnswer) {
  Load(R"x(template IN A example {
      match "^ip-(?P<a>10)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]dc[.]example[.]$"
      match "^(?P<a>[0-9]*)[.](?P<b>[0-9]*)[.](?P<c>[0-9]*)[.](?P<d>[0-9]*)[.]ext[.]example[.]$"
      answer "{{ .Name }} 60 IN A {{ .Group.a}}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
      fallthrough
    })x");
  EXPECT_THAT(Ask("ip-10-1-2-3.dc.example"), HasSubstr("60 A 10.1.2.3"));
  EXPECT_THAT(Ask("8.8.4.4.ext.example"), HasSubstr("60 A 8.8.4.4"));
}

TEST_F(TemplateReadme, MxRecordsHaveAddressesAndAuthoritativeServers) {
  Load(R"x(template IN MX example {
      match ^ip-10-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$
      answer "{{ .Name }} 60 IN MX 10 {{ .Name }}"
      additional "{{ .Name }} 60 IN A 10.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
      authority  "example. 60 IN NS ns0.example."
      authority  "example. 60 IN NS ns1.example."
      additional "ns0.example. 60 IN A 203.0.113.8"
      additional "ns1.example. 60 IN A 198.51.100.8"
      fallthrough
    })x");
  EXPECT_EQ(Ask("ip-10-1-2-3.example", kMx),
            "0\nip-10-1-2-3.example. 60 MX ?|\nexample. 60 NS ns0.example.\nexample. 60 NS "
            "ns1.example.|\nip-10-1-2-3.example. 60 A 10.1.2.3\nns0.example. 60 A 203.0.113.8\n"
            "ns1.example. 60 A 198.51.100.8");
}

TEST_F(TemplateReadme, ACnameIsMadeUpAndFollowed) {
  Load(R"x(template IN ANY foogle.com {
      match "^foogle\.com\.$"
      answer "foogle.com 60 IN CNAME google.com"
    })x");
  Say("google.com.", "192.0.2.1");
  EXPECT_EQ(Ask("foogle.com"), "0\nfoogle.com. 60 CNAME google.com.\ngoogle.com. 30 A 192.0.2.1");
}

}  // namespace
}  // namespace portolan::dns
