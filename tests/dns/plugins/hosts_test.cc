#include "dns/plugins/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "dns/corefile/parser.h"
#include "dns/wire/message.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns {
namespace {

using test::Client;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using wire::type::kA;
using wire::type::kAaaa;
using wire::type::kPtr;

class HostsTest : public ::testing::Test {
 protected:
  // `lines` is what stands between the braces.
  std::unique_ptr<Hosts> Make(const std::string& lines, const std::string& file = "/dev/null",
                              const std::string& arguments = "") {
    auto corefile = corefile::ParseCorefile(". {\n hosts " + arguments + " {\n" + lines + "\n }\n}",
                                            "Corefile", {});
    EXPECT_TRUE(corefile.ok()) << corefile.status();
    auto config =
        ParseHosts(corefile->blocks[0].directives[0], {*wire::Zone::Parse(".")}, file, &notes_);
    EXPECT_TRUE(config.ok()) << config.status();
    return std::make_unique<Hosts>(*config);
  }

  // "next", or the rcode and the RDATA of the answer: "0 10.0.0.1 10.0.0.2".
  std::string Ask(Hosts& hosts, std::string_view name, uint16_t type) {
    Client& client = clients_.Make(test::MakeQuery(name, type));
    if (hosts.OnQuery(client.exchange()) == Verdict::kNext) return "next";
    reply_ = client.reply();
    std::string out = std::to_string(client.rcode());
    wire::MessageReader reader(reply_);
    for (wire::MessageRecord record; reader.Next(record);) {
      if (record.section != wire::Section::kAnswer) continue;
      last_ttl_ = record.ttl;
      const std::span<const uint8_t> rdata(reply_.data() + record.rdata_at, record.rdata_bytes);
      if (record.type == kA) {
        out += " " + IpAddress::V4(rdata.first<4>()).ToString();
      } else if (record.type == kAaaa) {
        out += " " + IpAddress::V6(rdata.first<16>()).ToString();
      } else {
        out += " " + wire::NameToText(rdata);
      }
    }
    EXPECT_TRUE(reader.ok());
    return out;
  }

  test::Clients clients_;
  std::vector<std::string> notes_;
  test::Bytes reply_;
  uint32_t last_ttl_ = 0;
};

TEST_F(HostsTest, LinesOfTheCorefileAreAnswered) {
  auto hosts = Make("10.0.0.1 a.example b.example\nfd00::1 a.example\n10.0.0.2 a.example");
  EXPECT_EQ(Ask(*hosts, "A.example", kA), "0 10.0.0.1 10.0.0.2");
  EXPECT_EQ(last_ttl_, 3600u);
  EXPECT_EQ(wire::Load16(reply_.data() + 2), 0x8580);  // QR AA RD RA
  EXPECT_EQ(Ask(*hosts, "a.example", kAaaa), "0 fd00::1");
  EXPECT_EQ(Ask(*hosts, "b.example", kA), "0 10.0.0.1");
}

TEST_F(HostsTest, AKnownNameWithoutTheTypeIsNodata) {
  auto hosts = Make("10.0.0.1 a.example");
  EXPECT_EQ(Ask(*hosts, "a.example", kAaaa), "0");
  EXPECT_EQ(Ask(*hosts, "a.example", wire::type::kTxt), "0");
  EXPECT_EQ(wire::Load16(reply_.data() + 8), 1) << "an SOA, so that it can be cached";
}

TEST_F(HostsTest, AnUnknownNameIsServfailWithoutFallthroughAndGoesOnWithIt) {
  EXPECT_EQ(Ask(*Make("10.0.0.1 a.example"), "b.example", kA), "2");
  EXPECT_EQ(Ask(*Make("fallthrough"), "b.example", kA), "next");
  auto some = Make("fallthrough example");
  EXPECT_EQ(Ask(*some, "b.example", kA), "next");
  EXPECT_EQ(Ask(*some, "b.other", kA), "2");
}

TEST_F(HostsTest, OtherTypesOfAKnownNameGoOnWhereTheyAreToFallThrough) {
  auto hosts = Make(
      "10.0.0.1 a.example\n10.0.0.1 a.other\nfallthrough example\n"
      "fallthrough_unsupported");
  EXPECT_EQ(Ask(*hosts, "a.example", wire::type::kTxt), "next");
  EXPECT_EQ(Ask(*hosts, "a.example", kA), "0 10.0.0.1");
  EXPECT_EQ(Ask(*hosts, "a.example", kAaaa), "0") << "a type that hosts has is not there";
  EXPECT_EQ(Ask(*hosts, "a.other", wire::type::kTxt), "0");
}

TEST_F(HostsTest, ReverseNamesAreMadeOfTheLines) {
  auto hosts = Make("10.0.0.1 a.example b.example\nfd00::1 c.example");
  EXPECT_EQ(Ask(*hosts, "1.0.0.10.in-addr.arpa", kPtr), "0 a.example. b.example.");
  EXPECT_EQ(
      Ask(*hosts, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", kPtr),
      "0 c.example.");
  EXPECT_EQ(Ask(*hosts, "2.0.0.10.in-addr.arpa", kPtr), "next");
  EXPECT_EQ(Ask(*Make("10.0.0.1 a.example\nno_reverse"), "1.0.0.10.in-addr.arpa", kPtr), "next");
}

TEST_F(HostsTest, TheFilesLinesAreAddedAndWhatIsNoneIsCounted) {
  const std::string file = ::testing::TempDir() + "portolan-hosts-test";
  std::ofstream(file) << "# comment\n127.0.0.1\tlocalhost # x\r\nnonsense a b\n"
                         "10.0.0.9 a.example *.wild.example\nfe80::1%eth0 link\n";
  auto hosts = Make("10.0.0.1 a.example\nttl 60", file);
  EXPECT_EQ(Ask(*hosts, "localhost", kA), "0 127.0.0.1");
  EXPECT_EQ(last_ttl_, 60u);
  EXPECT_EQ(Ask(*hosts, "a.example", kA), "0 10.0.0.9 10.0.0.1");
  EXPECT_EQ(Ask(*hosts, "link", kAaaa), "0 fe80::1");
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("2 entries of " + file + " are left out")));
  std::remove(file.c_str());
}

TEST_F(HostsTest, AWildcardStandsForOneLabelAndForWhatIsNotThereItself) {
  auto hosts = Make("10.0.0.1 *.example\n10.0.0.2 a.example\nfd00::1 *.b.example");
  EXPECT_EQ(Ask(*hosts, "x.example", kA), "0 10.0.0.1");
  EXPECT_EQ(Ask(*hosts, "x.example", kAaaa), "0");
  EXPECT_EQ(Ask(*hosts, "a.example", kA), "0 10.0.0.2");
  EXPECT_EQ(Ask(*hosts, "*.example", kA), "0 10.0.0.1");
  EXPECT_EQ(Ask(*hosts, "example", kA), "2");
  EXPECT_EQ(Ask(*hosts, "x.a.example", kA), "2");
  EXPECT_EQ(Ask(*hosts, "x.b.example", kAaaa), "0 fd00::1");
  EXPECT_EQ(Ask(*hosts, "1.0.0.10.in-addr.arpa", kPtr), "next");
  EXPECT_EQ(Ask(*hosts, ".", kA), "2");
}

TEST_F(HostsTest, AMissingFileIsNotedAndTheLinesStand) {
  auto hosts = Make("10.0.0.1 a.example", "", "/nonexistent/hosts");
  EXPECT_EQ(Ask(*hosts, "a.example", kA), "0 10.0.0.1");
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("/nonexistent/hosts")));
}

TEST_F(HostsTest, OtherZonesGoOn) {
  auto hosts = Make("10.0.0.1 a.example", "", "/dev/null example");
  EXPECT_EQ(Ask(*hosts, "a.example", kA), "0 10.0.0.1");
  EXPECT_EQ(Ask(*hosts, "a.other", kA), "next");
}

}  // namespace
}  // namespace portolan::dns
