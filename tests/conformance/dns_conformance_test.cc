// Each case of cases.json, asked of a chain with the kubernetes plugin alone. Those that need what
// is not there yet stand in not-active.txt with the reason, and are reported as skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "dns/plugins/kubernetes.h"
#include "dns/plugins/service_records.h"
#include "dns/wire/reply.h"
#include "tests/conformance/cluster.h"
#include "tests/conformance/records.h"
#include "tests/dns/question.h"

namespace portolan::dns::test {
namespace {

using nlohmann::json;

// The working directory of tests is tests/.
constexpr char kFolder[] = "conformance/";

json Read(const std::string& file) {
  std::ifstream in(kFolder + file);
  return json::parse(in);
}

const json& Cases() {
  static const json cases = Read("cases.json");
  return cases;
}

const std::map<std::string, std::string>& NotActive() {
  static const auto reasons = [] {
    std::map<std::string, std::string> read;
    std::ifstream in(std::string(kFolder) + "not-active.txt");
    for (std::string id, reason; in >> id && std::getline(in >> std::ws, reason);)
      read[id] = reason;
    return read;
  }();
  return reasons;
}

const ClusterDataHolder& Cluster() {
  static const auto holder = [] {
    Directory directory;
    PutObjects(Read("cluster.json"), directory);
    ServiceRecordsCompiler compiler;
    auto records = compiler.Apply(directory.Commit(), absl::UnixEpoch());
    ClusterDataHolder made;
    made.Replace(std::make_shared<ClusterData>(
        ClusterData{FeedTrust::kInSync, directory.snapshot(), records}));
    return made;
  }();
  return holder;
}

std::unique_ptr<Chain> ChainOf(const json& profile) {
  KubernetesConfig config;
  for (const json& zone : profile["zones"]) {
    config.zones.push_back(*wire::Zone::Parse(zone.get<std::string>()));
  }
  config.primary = config.zones.front();
  config.ttl = profile.value("ttl", 5u);
  config.recursion_available = false;  // no `cache` in front
  if (profile["pods"] == "insecure") config.pods = KubernetesConfig::Pods::kInsecure;
  if (profile["pods"] == "verified") config.pods = KubernetesConfig::Pods::kVerified;
  std::vector<std::unique_ptr<Plugin>> links;
  links.push_back(std::make_unique<Kubernetes>(std::move(config), Cluster()));
  return std::make_unique<Chain>(std::move(links));
}

class NoPool : public SuspendedPool {
  Suspended* Suspend(Exchange&) override { return nullptr; }
};

Bytes Ask(const json& c) {
  QueryShape shape;
  if (c.contains("edns")) {
    shape.edns_version = c["edns"][0];
    shape.udp_payload = c["edns"][1];
  }
  const Bytes message =
      MakeQuery(c["name"].get<std::string>(), TypeNumber(c["type"].get<std::string>()), shape);
  std::vector<uint8_t> room(wire::kMaxMessageBytes);
  wire::Query query;
  const auto outcome = wire::ParseQuery(message, query);
  if (outcome == wire::ParseOutcome::kBadVers) {
    room.resize(wire::WriteEmptyReply(query, room, wire::Rcode::kBadVers));
    return room;
  }
  EXPECT_EQ(outcome, wire::ParseOutcome::kQuery);
  NoPool pool;
  const bool tcp = c.value("proto", "udp") == "tcp";
  Exchange exchange(query, SocketAddress(), tcp ? Transport::kTcp : Transport::kUdp, room, pool);
  exchange.set_max_reply_bytes(tcp ? room.size() : query.udp_payload);
  const Verdict verdict =
      ChainOf(Cases()["profiles"][c["profile"].get<std::string>()])->Run(exchange);
  // The upstream fails (K341): the alias stands alone. Those with one: dns/server/alias_test.cc.
  EXPECT_TRUE(verdict == Verdict::kAnswered || verdict == Verdict::kAlias);
  room.resize(exchange.reply().size());
  return room;
}

std::string RcodeOf(const Bytes& reply) {
  static const std::map<int, std::string> names = {
      {0, "NOERROR"}, {1, "FORMERR"}, {2, "SERVFAIL"}, {3, "NXDOMAIN"}, {5, "REFUSED"}};
  wire::MessageReader reader(reply);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.type == wire::type::kOpt && record.ttl >> 24 == 1) return "BADVERS";
  }
  return names.at(reader.rcode());
}

std::multiset<std::string> Fold(std::vector<std::string> records, bool fold) {
  for (std::string& record : records) {
    if (!fold) continue;
    std::transform(record.begin(), record.end(), record.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  return {records.begin(), records.end()};
}

void ExpectSection(const json& c, const char* name, const Bytes& reply, wire::Section section) {
  const json& expected = c[name];
  if (!expected.is_array()) return;  // "any"
  const bool fold = c.value("case", "fold") == "fold";
  const auto got = Fold(RecordsOf(reply, section), fold);
  const auto want = Fold(expected.get<std::vector<std::string>>(), fold);
  if (section == wire::Section::kAnswer && c.value("subset", false)) {
    EXPECT_FALSE(got.empty());
    EXPECT_LT(got.size(), want.size());
    EXPECT_TRUE(std::includes(want.begin(), want.end(), got.begin(), got.end()));
    return;
  }
  EXPECT_EQ(got, want) << name;
}

class DnsConformance : public testing::TestWithParam<json> {};

TEST_P(DnsConformance, AnswersAsCoreDns) {
  const json& c = GetParam();
  const auto inactive = NotActive().find(c["id"]);
  if (inactive != NotActive().end()) {
    GTEST_SKIP() << c["name"] << " " << c["type"] << " not yet active: " << inactive->second;
  }
  SCOPED_TRACE(c.dump());
  const Bytes reply = Ask(c);
  wire::MessageReader reader(reply);
  EXPECT_EQ(RcodeOf(reply), c["rcode"]);
  EXPECT_EQ((reader.flags() & wire::flag::kAuthoritative) != 0, c["aa"]);
  EXPECT_EQ((reader.flags() & wire::flag::kTruncated) != 0, c["tc"]);
  EXPECT_EQ((reader.flags() & wire::flag::kRecursionAvailable) != 0, c["ra"]);
  ExpectSection(c, "answer", reply, wire::Section::kAnswer);
  ExpectSection(c, "authority", reply, wire::Section::kAuthority);
  ExpectSection(c, "additional", reply, wire::Section::kAdditional);
}

std::vector<json> AllCases() {
  const json& cases = Cases()["cases"];
  return {cases.begin(), cases.end()};
}

INSTANTIATE_TEST_SUITE_P(Cases, DnsConformance, testing::ValuesIn(AllCases()),
                         [](const auto& param) {
                           return param.param["id"].template get<std::string>();
                         });

TEST(DnsConformanceList, NamesOnlyCasesThatExist) {
  std::set<std::string> known;
  for (const json& c : AllCases()) known.insert(c["id"]);
  EXPECT_EQ(known.size(), 182u);
  for (const auto& [id, reason] : NotActive()) EXPECT_TRUE(known.contains(id)) << id;
}

}  // namespace
}  // namespace portolan::dns::test
