#include "dns/plugins/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dns/plugins/block.h"

namespace portolan::dns {
namespace {

using test::AddressBytes;
using ::testing::HasSubstr;
using wire::Rcode;
using wire::Section;
using wire::type::kA;
using wire::type::kAaaa;
using wire::type::kPtr;
using wire::type::kTxt;

class TemplateTest : public ::testing::Test {
 protected:
  void Load(std::string_view directives) { EXPECT_EQ(block_.Load(directives), ""); }

  test::Block block_;
};

TEST_F(TemplateTest, NamedGroupsMakeAddressesAndTheirReverse) {
  Load(R"x(template IN A example {
      match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)-(?P<c>[0-9]*)-(?P<d>[0-9]*)[.]example[.]$
      answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ .Group.c }}.{{ .Group.d }}"
      fallthrough
    }
    template IN PTR in-addr.arpa {
      match ^(?P<d>[0-9]*)[.](?P<c>[0-9]*)[.](?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]in-addr[.]arpa[.]$
      answer "{{ .Name }} 60 IN PTR {{ .Group.a }}-{{ .Group.b }}-{{ .Group.c }}-{{ .Group.d }}."
    })x");
  EXPECT_EQ(block_.Ask("IP-192-0-2-7.example", kA), "0\nip-192-0-2-7.example. 60 A 192.0.2.7");
  EXPECT_EQ(wire::Load16(&block_.reply[2]), 0x8580) << "AA and RA";
  EXPECT_TRUE(block_.local());
  EXPECT_EQ(block_.Ask("7.2.0.192.in-addr.arpa", kPtr),
            "0\n7.2.0.192.in-addr.arpa. 60 PTR 192-0-2-7.");
  EXPECT_EQ(block_.Ask("other.example", kA), "3") << "falls through";
  EXPECT_EQ(block_.Ask("x.in-addr.arpa", kPtr), "2") << "does not";
  EXPECT_EQ(block_.Ask("ip-192-0-2-7.example", kAaaa), "3") << "another type";
  EXPECT_EQ(block_.Metric("coredns_template_matches_total"), 2);
}

TEST_F(TemplateTest, AnRcodeNeedsNoAnswerAndMayHaveAnAuthority) {
  Load(R"x(template ANY ANY invalid {
      rcode NXDOMAIN
      authority "invalid. 60 {{ .Class }} SOA ns.invalid. hostmaster.invalid. (1 60 61 62 63)"
      ederror 21 "Blocked according to RFC2606"
    })x");
  EXPECT_EQ(block_.Ask("a.invalid", kTxt, {.edns_version = 0}),
            "3|\ninvalid. 60 SOA ns.invalid. hostmaster.invalid. * 60 61 62 63");
  const std::string reply(block_.reply.begin(), block_.reply.end());
  EXPECT_THAT(reply, HasSubstr("Blocked according to RFC2606"));
  EXPECT_EQ(block_.Ask("a.valid", kTxt), "3");
  EXPECT_EQ(block_.below().asked.size(), 1u);
}

TEST_F(TemplateTest, ZoneMatchAndNumbersAreFilledIn) {
  Load(R"x(template IN A a.example example {
      match "^ip0a(?P<b>[a-f0-9]{2})(?P<c>[a-f0-9]{2})(?P<d>[a-f0-9]{2})[.]"
      answer "{{ .Zone }} IN A 10.0.0.{{ parseInt (index .Match 3) 16 8 }}"
      authority "b. IN A 10.0.0.{{ parseInt .Group.b 16 8 }}"
    })x");
  EXPECT_EQ(block_.Ask("ip0a7b7c7d.a.example", kA),
            "0\na.example. 3600 A 10.0.0.125|\nb. 3600 A 10.0.0.123");
  EXPECT_EQ(block_.Ask("ip0a7b7c7d.b.example", kA),
            "0\nexample. 3600 A 10.0.0.125|\nb. 3600 A 10.0.0.123");
}

TEST_F(TemplateTest, TypeAndRemoteAndTrimmedActions) {
  Load(R"x(template IN ANY example {
      answer "{{ .Name -}}   5 IN TXT {{ .Type }}/{{ .Remote }}/{{ index .Match 0 }}{{/* no */}}"
    })x");
  EXPECT_EQ(block_.Ask("x.example", kTxt), "0\nx.example.5. 3600 TXT \"TXT/10.42.0.9/x.example.\"");
  Load(R"x(template IN ANY example {
      answer "{{ .Name }} 5 IN TXT {{ .Type }}/{{ .Remote }}/{{ index .Match 0 }}{{/* no */}}"
    })x");
  EXPECT_EQ(block_.Ask("x.example", kTxt), "0\nx.example. 5 TXT \"TXT/10.42.0.9/x.example.\"");
}

TEST_F(TemplateTest, TheFirstExpressionThatMatchesFillsTheRecord) {
  Load(R"x(template IN A example {
      match "^ip-(?P<a>10)-(?P<b>[0-9]*)[.]dc[.]"
      match "^(?P<b>[0-9]*)[.](?P<a>[0-9]*)[.]ext[.]"
      answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.0.1"
    })x");
  EXPECT_THAT(block_.Ask("ip-10-4.dc.example", kA), HasSubstr("A 10.4.0.1"));
  EXPECT_THAT(block_.Ask("4.11.ext.example", kA), HasSubstr("A 11.4.0.1"));
}

TEST_F(TemplateTest, SectionsComeInOrderWhateverTheOrderInTheFile) {
  Load(R"x(template IN MX example {
      additional "ns0.example. 60 IN A 203.0.113.8"
      authority "example. 60 IN NS ns0.example."
      answer "{{ .Name }} 60 IN MX 10 {{ .Name }}" "{{ .Name }} 60 IN TXT x"
    })x");
  EXPECT_EQ(block_.Ask("m.example", 15),
            "0\nm.example. 60 MX ?\nm.example. 60 TXT \"x\"|\nexample. 60 NS ns0.example."
            "|\nns0.example. 60 A 203.0.113.8");
}

TEST_F(TemplateTest, ARecordMayDependOnTheQuestion) {
  Load(R"x(template IN ANY example {
      match ^v(?P<v>[0-9]+)[.]
      answer "{{ if eq .Type `A` }}{{ .Name }} 60 IN A 10.0.0.{{ .Group.v }}{{ end }}"
      answer "{{ if eq .Type `AAAA` }}{{ .Name }} 60 IN AAAA fd00::{{ .Group.v }}{{ end }}"
      answer "{{ if ne .Question.Qtype 28 }}{{ .Name }} 5 IN TXT {{ .Message.Id }}{{ end }}"
    })x");
  EXPECT_EQ(block_.Ask("v7.example", kAaaa), "0\nv7.example. 60 AAAA fd00::7");
  EXPECT_THAT(block_.Ask("v7.example", kA),
              HasSubstr("0\nv7.example. 60 A 10.0.0.7\nv7.example. 5 TXT"));
  EXPECT_EQ(block_.Metric("coredns_template_rr_failures_total"), 0) << "blanks are no record";
}

TEST_F(TemplateTest, MetadataIsEmptyAndNoted) {
  Load(R"x(template IN TXT example {
      answer "{{ .Name }} 60 IN TXT <{{ .Meta `kubernetes/client-namespace` }}>"
    })x");
  EXPECT_EQ(block_.Ask("a.example", kTxt), "0\na.example. 60 TXT \"<>\"");
  ASSERT_EQ(block_.notes.size(), 1u);
  EXPECT_THAT(block_.notes[0], HasSubstr("Corefile:3:14: template: "));
  EXPECT_THAT(block_.notes[0], HasSubstr("its metadata is empty"));
}

TEST_F(TemplateTest, QuestionsOfClassChReachThoseOfThatClassAndOfAny) {
  Load("template CH TXT example {\nanswer \"{{ .Name }} 60 CH TXT {{ .Class }}\"\n}");
  EXPECT_EQ(block_.Ask("a.example", kTxt, {.qclass = wire::kClassChaos}),
            "0\na.example. 60 TXT \"CH\"");
  EXPECT_EQ(block_.Ask("a.example", kTxt), "3") << "of class IN";
}

TEST_F(TemplateTest, WhatBecomesNoRecordIsServfailAndCounted) {
  Load(R"x(template IN A example {
      match ^(?P<x>[^.]*)
      answer "{{ .Name }} 60 IN A {{ .Group.x }}"
    }
    template IN TXT example {
      match ^(?P<x>[^.]*)
      answer "{{ .Name }} 60 IN TXT {{ parseInt .Group.x 10 8 }}"
    })x");
  EXPECT_EQ(block_.Ask("nonsense.example", kA), "2");
  EXPECT_EQ(block_.Metric("coredns_template_rr_failures_total"), 1);
  EXPECT_EQ(block_.Ask("256.example", kTxt), "2");
  EXPECT_EQ(block_.Metric("coredns_template_template_failures_total"), 1);
}

TEST_F(TemplateTest, ACnameIsFollowedForAddresses) {
  Load(R"x(template IN ANY foogle.com {
      match "^foogle\.com\.$"
      answer "foogle.com 60 IN CNAME google.com"
    })x");
  block_.below().says["google.com. 1"] = {
      Rcode::kNoError, {{Section::kAnswer, "google.com", kA, 30, AddressBytes("192.0.2.1")}}};
  EXPECT_EQ(block_.Ask("foogle.com", kA),
            "0\nfoogle.com. 60 CNAME google.com.\ngoogle.com. 30 A 192.0.2.1");
  EXPECT_EQ(block_.Ask("foogle.com", kTxt), "0\nfoogle.com. 60 CNAME google.com.");
}

TEST_F(TemplateTest, BadTemplatesAreErrorsWithTheirPlace) {
  const auto error = [&](const std::string& lines) {
    return block_.Load("template IN A {\n" + lines + "\n}");
  };
  EXPECT_EQ(block_.Load("template IN"), "Corefile:2:1: template needs a class and a type");
  EXPECT_THAT(block_.Load("template IM A"), HasSubstr("Corefile:2:10: unknown class 'IM'"));
  EXPECT_THAT(block_.Load("template IN AAAAA"), HasSubstr("did you mean 'AAAA'?"));
  EXPECT_EQ(error("match x"),
            "Corefile:2:1: template has neither an answer nor an authority nor an rcode");
  EXPECT_THAT(error("match ("), HasSubstr("Corefile:3:7: '(' is no regular expression"));
  EXPECT_THAT(error("anser x"), HasSubstr("Corefile:3:1: unknown option 'anser' of template, did "
                                          "you mean 'answer'?"));
  EXPECT_THAT(error("answer \"x. IN A 1.2.3\""), HasSubstr("Corefile:3:8: 'x. IN A 1.2.3' is no"));
  EXPECT_EQ(error("answer \"{{ .Nam }} A 1.2.3.4\""),
            "Corefile:3:8: '{{ .Nam }}' is not supported in a template, did you mean '.Name'?");
  EXPECT_THAT(error("answer \"{{ .Name | x }}\""), HasSubstr("is not supported"));
  EXPECT_THAT(error("answer \"{{ .Name\""), HasSubstr("'{{' is not closed"));
  EXPECT_THAT(error("match (?P<a>x)\nanswer \"{{ .Group.b }}\""), HasSubstr("named 'b'"));
  EXPECT_THAT(error("match (x)\nanswer \"{{ index .Match 2 }}\""), HasSubstr("a group 2"));
  EXPECT_THAT(error("rcode NXDOMIAN"), HasSubstr("did you mean 'NXDOMAIN'?"));
  EXPECT_THAT(error("answer \"{{ parseInt .Name 99 8 }}\""), HasSubstr("a base (2 to 36)"));
}

}  // namespace
}  // namespace portolan::dns
