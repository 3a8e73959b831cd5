// Each case of cases.json, asked of a worker with its profile's Corefile, a cluster and an
// upstream: once with the endpoints of all Services at hand, once with none but those it asks for.
// Those that are answered otherwise on purpose stand in deviations.txt with the reason.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "common/status.h"
#include "dns/config.h"
#include "dns/corefile/parser.h"
#include "dns/on_demand.h"
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
        ClusterData{FeedTrust::kInSync, directory.snapshot(), records});
  }();
  return data;
}

// The cluster without endpoints and owners of addresses, which come when they are asked for.
class ClusterOnDemand : public OnDemand {
 public:
  ClusterOnDemand(EventLoop& loop, ClusterDataHolder& held) : loop_(loop), held_(held) {
    const Snapshot& all = *Cluster()->snapshot;
    all.ForEachNamespace([&](const Namespace& ns) { directory_.Put(ns); });
    all.ForEachService([&](const Service& service) { directory_.Put(service); });
    all.ForEachServiceImport([&](const ServiceImport& import) { directory_.Put(import); });
    all.ForEachImportedSliceSet([&](const std::string&, const SliceSet& slices) { Put(slices); });
    Publish();
  }

  Verdict WaitForAddress(const IpAddress& ip, Exchange& exchange) override {
    return Later(exchange, [this, ip] {
      const Snapshot& all = *Cluster()->snapshot;
      const AddressOwner* known = all.FindAddress(ip);
      AddressOwner owner = known == nullptr ? AddressOwner{.ip = ip} : *known;
      all.ForEachSliceSet([&](const std::string&, const SliceSet& slices) {
        for (const auto& [name, slice] : slices) {
          if (Lists(*slice, ip))
            owner.services.push_back({{slice->name.ns, slice->service}, {}, {}});
        }
      });
      directory_.Put(std::move(owner));
    });
  }
  Verdict WaitForEndpoints(const ServiceKey& service, Exchange& exchange) override {
    return Later(exchange, [this, service] { Fetch(service); });
  }
  void PrefetchEndpoints(const ServiceKey& service) override {
    loop_.Post([this, service] {
      Fetch(service);
      Publish();
    });
  }

 private:
  static bool Lists(const EndpointSlice& slice, const IpAddress& ip) {
    return std::any_of(slice.endpoints.begin(), slice.endpoints.end(), [&](const Endpoint& one) {
      return std::count(one.addresses.begin(), one.addresses.end(), ip) > 0;
    });
  }
  Verdict Later(Exchange& exchange, std::function<void()> fetch) {
    Suspended* question = exchange.Suspend();
    loop_.Post([this, question, fetch = std::move(fetch)] {
      fetch();
      Publish();
      question->Retry();
    });
    return Verdict::kPending;
  }
  void Fetch(const ServiceKey& service) {
    const SliceSet* slices = Cluster()->snapshot->FindSlices(service.view());
    if (slices == nullptr) return directory_.PutNoSlices(std::string(service.view()));
    Put(*slices);
  }
  void Put(const SliceSet& slices) {
    for (const auto& [name, slice] : slices) directory_.Put(*slice);
  }
  void Publish() {
    auto records = compiler_.Apply(directory_.Commit(), absl::UnixEpoch());
    held_.Replace(std::make_shared<const ClusterData>(
        ClusterData{FeedTrust::kInSync, directory_.snapshot(), std::move(records)}));
  }

  EventLoop& loop_;
  ClusterDataHolder& held_;
  Directory directory_{Directory::Slices::kOfThoseAskedFor};
  ServiceRecordsCompiler compiler_;
};

// A sidecar's worker without its sockets.
class Worker : public ReplySink {
 public:
  Worker(const json& profile, Directory::Slices slices)
      : slots_(4, 4), handler_(slots_, counters_) {
    if (!profile.value("api_reachable", true)) {
    } else if (slices == Directory::Slices::kOfAll) {
      cluster_.Replace(Cluster());
    } else {
      on_demand_.emplace(loop_, cluster_);
    }
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
    chains_ =
        Load(profile)->Instantiate({.loop = loop_,
                                    .cluster = cluster_,
                                    .upstream = upstream_,
                                    .pod_resolvers = resolvers,
                                    .on_demand = on_demand_.has_value() ? &*on_demand_ : nullptr});
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
  std::optional<ClusterOnDemand> on_demand_;
  Zones upstream_zones_, cluster_dns_zones_;
  FakeServer forwarder_{loop_}, cluster_dns_{loop_};
  upstream::Upstream upstream_{loop_};
  ZoneCounterTable counters_;
  SlotPool slots_;
  QueryHandler handler_;
  std::unique_ptr<Chains> chains_;
  Bytes reply_;
};

Bytes Ask(const json& c, Directory::Slices slices) {
  QueryShape shape;
  if (c.contains("edns")) {
    shape.edns_version = c["edns"][0];
    shape.udp_payload = c["edns"][1];
  }
  const Bytes message =
      MakeQuery(c["name"].get<std::string>(), TypeNumber(c["type"].get<std::string>()), shape);
  Worker worker(Cases()["profiles"][c["profile"].get<std::string>()], slices);
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

class DnsConformance : public testing::TestWithParam<std::tuple<json, Directory::Slices>> {};

TEST_P(DnsConformance, AnswersAsCoreDns) {
  const auto& [c, slices] = GetParam();
  // A transfer wants all endpoints, and is refused without.
  const bool is_transfer = c["type"] == "AXFR" || c["type"] == "IXFR";
  if (is_transfer && slices != Directory::Slices::kOfAll) GTEST_SKIP();
  const auto deviation = Deviations().find(c["id"]);
  if (deviation != Deviations().end()) {
    GTEST_SKIP() << c["name"] << " " << c["type"] << " deviates: " << deviation->second;
  }
  SCOPED_TRACE(c.dump());
  const Bytes reply = Ask(c, slices);
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

std::string NameOf(const testing::TestParamInfo<DnsConformance::ParamType>& info) {
  const auto& [c, slices] = info.param;
  return c["id"].get<std::string>() +
         (slices == Directory::Slices::kOfAll ? "_eager" : "_on_demand");
}

INSTANTIATE_TEST_SUITE_P(Cases, DnsConformance,
                         testing::Combine(testing::ValuesIn(AllCases()),
                                          testing::Values(Directory::Slices::kOfAll,
                                                          Directory::Slices::kOfThoseAskedFor)),
                         NameOf);

TEST(DnsConformanceList, NamesOnlyCasesThatExist) {
  std::set<std::string> known;
  for (const json& c : AllCases()) known.insert(c["id"]);
  EXPECT_EQ(known.size(), 182u);
  for (const auto& [id, reason] : Deviations()) EXPECT_TRUE(known.contains(id)) << id;
}

}  // namespace
}  // namespace portolan::dns::test
