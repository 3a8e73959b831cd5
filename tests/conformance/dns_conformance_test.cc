// Each case of cases.json, asked of a worker with its profile's Corefile, a cluster and an
// upstream. Those that are answered otherwise on purpose stand in deviations.txt with the reason.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "common/status.h"
#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/plugins/service_records.h"
#include "dns/server/query_handler.h"
#include "dns/upstream/upstream.h"
#include "dns/wire/reply.h"
#include "tests/conformance/cluster.h"
#include "tests/conformance/records.h"
#include "tests/conformance/zone.h"
#include "tests/dns/question.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns::test {
namespace {

using nlohmann::json;

// The working directory of tests is tests/.
const std::string kFolder = "conformance/";
// The kube-dns endpoint, as which CoreDNS ran when the cases were checked.
constexpr char kServerAddress[] = "10.244.0.100";

json Read(const std::string& file) {
  std::ifstream in(kFolder + file);
  return json::parse(in);
}

const json& Cases() {
  static const json cases = Read("cases.json");
  return cases;
}

const std::map<std::string, std::string>& Deviations() {
  static const auto reasons = [] {
    std::map<std::string, std::string> read;
    std::ifstream in(kFolder + "deviations.txt");
    for (std::string id, reason; in >> id && std::getline(in >> std::ws, reason);)
      read[id] = reason;
    return read;
  }();
  return reasons;
}

std::shared_ptr<const ClusterData> Cluster() {
  static const auto data = [] {
    Directory directory;
    PutObjects(Read("cluster.json"), directory);
    ServiceRecordsCompiler compiler;
    auto records = compiler.Apply(directory.Commit(), absl::UnixEpoch());
    return std::make_shared<const ClusterData>(
        ClusterData{FeedTrust::kInSync, directory.snapshot(), records, true});
  }();
  return data;
}

// A sidecar's worker without its sockets.
class Worker : public ReplySink {
 public:
  explicit Worker(const json& profile) : slots_(4, 4), handler_(slots_, counters_) {
    if (profile.value("api_reachable", true)) cluster_.Replace(Cluster());
    upstream_zones_.Read(kFolder + "upstream.txt");
    cluster_dns_zones_.Read(kFolder + "next-zone.txt");
    for (const auto& [server, zones] : {std::pair(&forwarder_, &upstream_zones_),
                                        std::pair(&cluster_dns_, &cluster_dns_zones_)}) {
      server->udp = server->tcp = [zones = zones](const Bytes& query) {
        return std::vector<Bytes>{zones->Answer(query)};
      };
    }
    std::vector<SocketAddress> resolvers;
    if (profile.value("asks_cluster_dns", false)) resolvers.push_back(cluster_dns_.address);
    for (const json& address : profile.value("server_addresses", json{kServerAddress})) {
      resolvers.push_back({*IpAddress::Parse(address.get<std::string>()), 53});
    }
    chains_ = Load(profile)->Instantiate({loop_, cluster_, upstream_, resolvers});
    handler_.SetChains(chains_->zones());
  }
  ~Worker() override {
    handler_.SetChains({});
    chains_.reset();
  }

  Bytes Ask(const Bytes& message, Transport transport) {
    Bytes room(transport == Transport::kTcp ? wire::kMaxMessageBytes : kMaxUdpReplyBytes);
    const auto handled = handler_.Handle(message, {}, transport, room, {this, {}, 0});
    if (handled.outcome == QueryHandler::Outcome::kPending) {
      EXPECT_TRUE(RunUntil(loop_, [&] { return !reply_.empty(); }));
      return reply_;
    }
    EXPECT_EQ(handled.outcome, QueryHandler::Outcome::kReply);
    room.resize(handled.reply_bytes);
    return room;
  }

  void SendReply(const ReplyTo&, const SocketAddress&, std::span<const uint8_t> reply) override {
    reply_.assign(reply.begin(), reply.end());
  }
  void Forget(const ReplyTo&) override { ADD_FAILURE() << "no reply"; }

 private:
  std::shared_ptr<const Config> Load(const json& profile) {
    std::string text = profile["corefile"];
    constexpr std::string_view kUpstream = "UPSTREAM";
    if (const size_t at = text.find(kUpstream); at != std::string::npos) {
      text.replace(at, kUpstream.size(), forwarder_.address.ToString());
    }
    const auto corefile = corefile::ParseCorefile(text, "Corefile", {});
    EXPECT_TRUE(corefile.ok()) << corefile.status();
    const LoadOptions options;
    const auto config = LoadConfig(*corefile, options);
    EXPECT_TRUE(config.ok()) << config.status();
    return *config;
  }

  EventLoop loop_;
  ClusterDataHolder cluster_;
  Zones upstream_zones_, cluster_dns_zones_;
  FakeServer forwarder_{loop_}, cluster_dns_{loop_};
  upstream::Upstream upstream_{loop_};
  ZoneCounterTable counters_;
  SlotPool slots_;
  QueryHandler handler_;
  std::unique_ptr<Chains> chains_;
  Bytes reply_;
};

Bytes Ask(const json& c) {
  QueryShape shape;
  if (c.contains("edns")) {
    shape.edns_version = c["edns"][0];
    shape.udp_payload = c["edns"][1];
  }
  const Bytes message =
      MakeQuery(c["name"].get<std::string>(), TypeNumber(c["type"].get<std::string>()), shape);
  Worker worker(Cases()["profiles"][c["profile"].get<std::string>()]);
  return worker.Ask(message, c.value("proto", "udp") == "tcp" ? Transport::kTcp : Transport::kUdp);
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
  const auto deviation = Deviations().find(c["id"]);
  if (deviation != Deviations().end()) {
    GTEST_SKIP() << c["name"] << " " << c["type"] << " deviates: " << deviation->second;
  }
  SCOPED_TRACE(c.dump());
  const Bytes reply = Ask(c);
  wire::MessageReader reader(reply);
  EXPECT_EQ(RcodeOf(reply), c["rcode"]);
  EXPECT_EQ((reader.flags() & wire::flag::kAuthoritative) != 0, c["aa"]);
  EXPECT_EQ((reader.flags() & wire::flag::kTruncated) != 0, c["tc"]);
  // RA is not compared: it is set in every answer here, lest nslookup warns; CoreDNS has it only
  // behind `cache`.
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
  for (const auto& [id, reason] : Deviations()) EXPECT_TRUE(known.contains(id)) << id;
}

}  // namespace
}  // namespace portolan::dns::test
