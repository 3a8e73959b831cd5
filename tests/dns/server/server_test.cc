#include "dns/server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <map>
#include <set>
#include <thread>

#include "dns/plugins/kubernetes.h"
#include "dns/wire/message.h"
#include "tests/common/run_on_loop.h"
#include "tests/dns/cluster.h"
#include "tests/dns/question.h"

namespace portolan::dns {
namespace {

using test::Bytes;
using test::MakeQuery;

// Suspends every query for names that begin with "slow"; answers them when told to. Runs on the
// worker's loop.
class Hold : public Plugin {
 public:
  explicit Hold(std::vector<Suspended*>& held) : held_(held) {}
  std::string_view name() const override { return "hold"; }
  Verdict OnQuery(Exchange& exchange) override {
    if (exchange.query().name[1] != 's' || exchange.query().name[2] != 'l') return Verdict::kNext;
    Suspended* suspended = exchange.Suspend();
    if (suspended == nullptr) {
      exchange.set_reply_bytes(
          wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kServFail));
      return Verdict::kAnswered;
    }
    held_.push_back(suspended);
    return Verdict::kPending;
  }

 private:
  std::vector<Suspended*>& held_;
};

// Answers "stream" with 100 messages of 60,000 bytes, numbered by their first two.
class Streams : public Plugin {
 public:
  static constexpr size_t kMessages = 100, kBytes = 60000;
  std::string_view name() const override { return "streams"; }
  Verdict OnQuery(Exchange& exchange) override {
    if (exchange.query().name[1] != 's' || exchange.query().name[2] != 't') return Verdict::kNext;
    exchange.set_stream(std::make_shared<Numbered>());
    return Verdict::kStream;
  }

 private:
  class Numbered : public ReplyStream {
   public:
    size_t Next(std::span<uint8_t> room) override {
      if (next_ == kMessages) return 0;
      std::fill_n(room.begin(), kBytes, uint8_t{0});
      wire::Store16(room.data(), static_cast<uint16_t>(next_++));
      return kBytes;
    }

   private:
    size_t next_ = 0;
  };
};

// A worker on a thread of its own.
class Worker {
 public:
  Worker(const test::Cluster& cluster, const ServerOptions& options) {
    auto started = Server::Start(loop_, options);
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    SetChains(cluster, "cluster.local");
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~Worker() {
    loop_.Stop();
    thread_.join();
  }

  // Before the thread runs, or by On.
  void SetChains(const test::Cluster& cluster, std::string_view zone) {
    KubernetesConfig config;
    config.zones = {*wire::Zone::Parse(zone)};
    config.primary = config.zones[0];
    std::vector<std::unique_ptr<Plugin>> links;
    links.push_back(std::make_unique<Hold>(held_));
    links.push_back(std::make_unique<Streams>());
    links.push_back(
        std::make_unique<Kubernetes>(config, Kubernetes::Surroundings{cluster.holder()}));
    server_->SetChains({{*wire::Zone::Parse(zone), std::make_shared<Chain>(std::move(links))}});
  }

  // Runs `task` on the loop and waits for it.
  template <typename F>
  auto On(F task) {
    return RunOnLoop(loop_, std::move(task));
  }
  // Waits until `count` queries are held, then answers them, last first.
  void ResumeAll(size_t count) {
    for (int i = 0; i < 500 && On([&] { return held_.size(); }) < count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    On([&] {
      EXPECT_EQ(held_.size(), count);
      std::vector<Suspended*> held = std::move(held_);
      held_.clear();
      for (auto it = held.rbegin(); it != held.rend(); ++it) {
        Exchange& exchange = (*it)->exchange();
        exchange.set_reply_bytes(
            wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kNoError));
        (*it)->Resume();
      }
      return 0;
    });
  }

  Server& server() { return *server_; }
  SocketAddress address() const { return server_->addresses()[0]; }
  // On the loop: it counts once the replies have left.
  double Metric(std::string_view family, std::string_view label) {
    const MetricFamilies families = On([&] {
      MetricFamilies collected;
      server_->CollectMetrics(collected);
      return collected;
    });
    double sum = 0;
    for (const auto& f : families) {
      if (f.name != family) continue;
      for (const auto& metric : f.metric) {
        for (const auto& l : metric.label) {
          if (l.value == label) {
            sum += metric.counter.value + static_cast<double>(metric.histogram.sample_count);
          }
        }
      }
    }
    return sum;
  }

 private:
  EventLoop loop_;
  std::vector<Suspended*> held_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

class Client {
 public:
  Client(int type, const SocketAddress& server)
      : fd_(socket(server.ip.is_v6() ? AF_INET6 : AF_INET, type, 0)) {
    sockaddr_storage name;
    const socklen_t length = server.ToSockaddr(&name);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
  }

  void Send(const Bytes& bytes) {
    EXPECT_EQ(send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Empty after `ms` of silence or at the end of the stream.
  Bytes Receive(int ms = 3000) {
    pollfd readable{fd_.get(), POLLIN, 0};
    if (poll(&readable, 1, ms) <= 0) return {};
    Bytes bytes(65536);
    const ssize_t n = recv(fd_.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return bytes;
  }
  // A framed message.
  Bytes ReceiveFramed() {
    while (stream_.size() < 2 || stream_.size() < 2u + wire::Load16(stream_.data())) {
      const Bytes more = Receive();
      if (more.empty()) return {};
      stream_.insert(stream_.end(), more.begin(), more.end());
    }
    const auto end = stream_.begin() + 2 + wire::Load16(stream_.data());
    Bytes message(stream_.begin() + 2, end);
    stream_.erase(stream_.begin(), end);
    return message;
  }
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
  Bytes stream_;
};

Bytes Framed(const Bytes& message) {
  Bytes framed;
  test::Append16(framed, static_cast<uint16_t>(message.size()));
  framed.insert(framed.end(), message.begin(), message.end());
  return framed;
}

Bytes Join(const std::vector<Bytes>& parts) {
  Bytes joined;
  for (const Bytes& part : parts) joined.insert(joined.end(), part.begin(), part.end());
  return joined;
}

int RcodeOf(const Bytes& reply) { return reply.size() < 12 ? -1 : reply[3] & 15; }
int IdOf(const Bytes& reply) { return reply.size() < 12 ? -1 : wire::Load16(reply.data()); }

constexpr char kDurations[] = "coredns_dns_request_duration_seconds";
constexpr char kBackend[] = "backend.default.svc.cluster.local";

class DnsServer : public testing::Test {
 protected:
  DnsServer() {
    cluster_.PutService("default", "backend", {"10.43.0.123"});
    cluster_.PutService("default", "large", {});
    std::vector<std::pair<std::string_view, std::string>> endpoints;
    for (int i = 0; i < 200; ++i) ips_.push_back("10.42.1." + std::to_string(i));
    for (const std::string& ip : ips_) endpoints.emplace_back(ip, "");
    cluster_.PutEndpoints("default", "large", endpoints);
    cluster_.Publish();
  }
  static ServerOptions On(std::string_view address) {
    return {.listen = {*SocketAddress::Parse(address)}};
  }

  std::vector<std::string> ips_;
  test::Cluster cluster_;
};

TEST_F(DnsServer, AnswersOverUdp) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker.address());
  client.Send(MakeQuery(kBackend, 1));
  const Bytes reply = client.Receive();
  EXPECT_EQ(RcodeOf(reply), 0);
  EXPECT_EQ(reply.size(), MakeQuery(kBackend, 1).size() + 16);
  EXPECT_EQ(worker.Metric("coredns_dns_requests_total", "A"), 1);
  EXPECT_EQ(worker.Metric("coredns_dns_responses_total", "NOERROR"), 1);
  EXPECT_EQ(worker.Metric("coredns_dns_responses_total", "kubernetes"), 1);
  EXPECT_EQ(worker.Metric("coredns_dns_request_duration_seconds", "dns://:53"), 1);
  EXPECT_EQ(worker.Metric("coredns_dns_request_size_bytes", "udp"), 1);
  EXPECT_EQ(worker.Metric("coredns_dns_response_size_bytes", "udp"), 1);
  EXPECT_EQ(worker.Metric("coredns_dns_response_size_bytes", "tcp"), 0);
}

struct Observed : ReplyObserver {
  void OnReply(const Exchange& exchange, uint32_t) override {
    replies.push_back(fmt::format("{} {}", wire::NameToText(exchange.query().lower_name()),
                                  exchange.reply()[3] & 15));
  }
  std::vector<std::string> replies;
};

TEST_F(DnsServer, AnObserverIsToldOfEveryReplyThatIsSentBeItLater) {
  Observed observed;
  ServerOptions options = On("127.0.0.1:0");
  options.observer = &observed;
  Worker worker(cluster_, options);
  Client udp(SOCK_DGRAM, worker.address());
  Client tcp(SOCK_STREAM, worker.address());
  udp.Send(MakeQuery("Backend.default.svc.cluster.local", 1));
  udp.Receive();
  tcp.Send(Framed(MakeQuery("nosuch.default.svc.cluster.local", 1)));
  tcp.ReceiveFramed();
  udp.Send(MakeQuery("slow.cluster.local", 1));
  worker.ResumeAll(1);
  udp.Receive();
  EXPECT_THAT(worker.On([&] { return observed.replies; }),
              testing::ElementsAre("backend.default.svc.cluster.local. 0",
                                   "nosuch.default.svc.cluster.local. 3", "slow.cluster.local. 0"));
}

TEST_F(DnsServer, EachQueryOfABatchGetsItsOwnReply) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker.address());
  std::map<int, Bytes> sent;
  // While the loop is busy, so that it finds all of them at once.
  worker.On([&] {
    for (uint16_t id = 1; id <= 90; ++id) {
      const std::string name =
          id % 6 == 0 ? "large.default.svc.cluster.local" : fmt::format("no-{}.cluster.local", id);
      sent[id] = MakeQuery(name, 1, {.id = id, .edns_version = 0, .udp_payload = 4096});
      client.Send(sent[id]);
      if (id % 10 == 0) client.Send({1, 2, 3});
    }
    return 0;
  });
  while (!sent.empty()) {
    const Bytes reply = client.Receive();
    const auto query = sent.find(IdOf(reply));
    ASSERT_NE(query, sent.end()) << sent.size() << " are missing";
    EXPECT_EQ(RcodeOf(reply), query->first % 6 == 0 ? 0 : 3);
    EXPECT_EQ(reply.size() > 3000, query->first % 6 == 0);
    const size_t question = query->second.size() - 11;  // without OPT
    EXPECT_TRUE(std::equal(reply.begin() + 12, reply.begin() + static_cast<long>(question),
                           query->second.begin() + 12));
    sent.erase(query);
  }
  EXPECT_EQ(worker.Metric(kDurations, "cluster.local."), 90);
}

TEST_F(DnsServer, ABatchOfSeveralZonesCountsTheRepliesOfEach) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker.address());
  worker.On([&] {
    // The links are none: every answer is REFUSED.
    const auto chain = std::make_shared<Chain>(std::vector<std::unique_ptr<Plugin>>());
    worker.server().SetChains(
        {{*wire::Zone::Parse("one"), chain}, {*wire::Zone::Parse("two"), chain}});
    for (const auto name : {"a.one", "b.one", "a.two", "c.one"}) client.Send(MakeQuery(name, 1));
    return 0;
  });
  for (int i = 0; i < 4; ++i) EXPECT_EQ(RcodeOf(client.Receive()), 5);
  EXPECT_EQ(worker.Metric(kDurations, "one."), 3);
  EXPECT_EQ(worker.Metric(kDurations, "two."), 1);
}

TEST_F(DnsServer, AfterManyQueriesAtOnceTheNextIsAnsweredToo) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker.address());
  constexpr int kMany = 40;
  worker.On([&] {
    for (int i = 0; i < kMany; ++i) client.Send(MakeQuery(kBackend, 1));
    return 0;
  });
  for (int i = 0; i < kMany; ++i) EXPECT_EQ(RcodeOf(client.Receive()), 0);
  client.Send(MakeQuery(kBackend, 1));
  EXPECT_EQ(RcodeOf(client.Receive()), 0);
}

TEST_F(DnsServer, AnswersOverIpv6) {
  Worker worker(cluster_, On("[::1]:0"));
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    Client client(type, worker.address());
    const Bytes query = MakeQuery(kBackend, 1);
    client.Send(type == SOCK_DGRAM ? query : Framed(query));
    EXPECT_EQ(RcodeOf(type == SOCK_DGRAM ? client.Receive() : client.ReceiveFramed()), 0);
  }
}

TEST_F(DnsServer, TwoWorkersShareAPort) {
  Worker first(cluster_, On("127.0.0.1:0"));
  Worker second(cluster_, {.listen = {first.address()}});
  for (int i = 0; i < 64; ++i) {
    Client client(SOCK_DGRAM, first.address());
    client.Send(MakeQuery(kBackend, 1));
    ASSERT_EQ(RcodeOf(client.Receive()), 0);
  }
  const double a = first.Metric("coredns_dns_requests_total", "A");
  const double b = second.Metric("coredns_dns_requests_total", "A");
  EXPECT_EQ(a + b, 64);
  EXPECT_GT(a, 0);
  EXPECT_GT(b, 0);
}

TEST_F(DnsServer, OnAWildcardTheAddressAskedAnswers) {
  Worker worker(cluster_, On("0.0.0.0:0"));
  // A connected socket takes datagrams from the address it is connected to alone.
  Client client(SOCK_DGRAM, {test::Ip("127.0.0.7"), worker.address().port});
  client.Send(MakeQuery(kBackend, 1));
  EXPECT_EQ(RcodeOf(client.Receive()), 0);
  client.Send(MakeQuery("slow", 1, {.id = 7}));
  EXPECT_EQ(RcodeOf(client.Receive()), 5) << "no zone";
  client.Send(MakeQuery("slow.cluster.local", 1, {.id = 8}));
  worker.ResumeAll(1);
  EXPECT_EQ(IdOf(client.Receive()), 8);
}

TEST_F(DnsServer, BadMessagesGetTheErrorOfTheirKind) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker.address());
  auto ask = [&](const Bytes& query) {
    client.Send(query);
    return RcodeOf(client.Receive());
  };
  Bytes cut = MakeQuery(kBackend, 1);
  cut.resize(20);
  EXPECT_EQ(ask(cut), 1);
  EXPECT_EQ(ask(MakeQuery(kBackend, 1, {.flags = 2 << 11})), 4);
  EXPECT_EQ(ask(MakeQuery(kBackend, 1, {.qclass = 3})), 5);
  EXPECT_EQ(ask(MakeQuery("example.org", 1)), 5);
  client.Send({1, 2, 3});
  client.Send(MakeQuery(kBackend, 1, {.flags = 0x8000}));
  EXPECT_TRUE(client.Receive(100).empty()) << "silence";
  EXPECT_EQ(worker.Metric("portolan_dns_rejected_queries_total", "short_or_response"), 2);
}

TEST_F(DnsServer, LargeRepliesAreCutOverUdpAndWholeOverTcp) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client udp(SOCK_DGRAM, worker.address());
  udp.Send(MakeQuery("large.default.svc.cluster.local", 1));
  const Bytes cut = udp.Receive();
  EXPECT_LE(cut.size(), 512u);
  EXPECT_TRUE(cut[2] & 2) << "TC";
  udp.Send(
      MakeQuery("large.default.svc.cluster.local", 1, {.edns_version = 0, .udp_payload = 65535}));
  const Bytes larger = udp.Receive();
  EXPECT_EQ(wire::Load16(&larger[6]), 200);
  Client tcp(SOCK_STREAM, worker.address());
  tcp.Send(Framed(MakeQuery("large.default.svc.cluster.local", 1)));
  const Bytes whole = tcp.ReceiveFramed();
  EXPECT_EQ(wire::Load16(&whole[6]), 200);
  EXPECT_FALSE(whole[2] & 2);
}

TEST_F(DnsServer, PipelinedQueriesAreAnsweredOutOfOrder) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_STREAM, worker.address());
  client.Send(Join({Framed(MakeQuery("slow.cluster.local", 1, {.id = 1})),
                    Framed(MakeQuery(kBackend, 1, {.id = 2})),
                    Framed(MakeQuery("slow.cluster.local", 1, {.id = 3}))}));
  EXPECT_EQ(IdOf(client.ReceiveFramed()), 2);
  worker.ResumeAll(2);
  EXPECT_EQ(IdOf(client.ReceiveFramed()), 3);
  EXPECT_EQ(IdOf(client.ReceiveFramed()), 1);
}

TEST_F(DnsServer, AQueryMayComeByteByByte) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_STREAM, worker.address());
  const int one = 1;
  setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (const uint8_t byte : Framed(MakeQuery(kBackend, 1))) client.Send({byte});
  EXPECT_EQ(RcodeOf(client.ReceiveFramed()), 0);
}

TEST_F(DnsServer, MoreQueriesInFlightThanAllowedWaitTheirTurn) {
  ServerOptions options = On("127.0.0.1:0");
  options.tcp.in_flight = 2;
  Worker worker(cluster_, options);
  Client client(SOCK_STREAM, worker.address());
  std::vector<Bytes> queries;
  for (uint16_t i = 1; i <= 5; ++i) {
    queries.push_back(Framed(MakeQuery("slow.cluster.local", 1, {.id = i})));
  }
  client.Send(Join(queries));
  std::set<int> ids;
  for (const size_t round : {2, 2, 1}) {
    worker.ResumeAll(round);
    for (size_t i = 0; i < round; ++i) ids.insert(IdOf(client.ReceiveFramed()));
  }
  EXPECT_THAT(ids, testing::ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(DnsServer, TheEndOfTheStreamWaitsForTheReplies) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_STREAM, worker.address());
  client.Send(Framed(MakeQuery("slow.cluster.local", 1, {.id = 9})));
  shutdown(client.fd(), SHUT_WR);
  worker.ResumeAll(1);
  EXPECT_EQ(IdOf(client.ReceiveFramed()), 9);
  EXPECT_TRUE(client.ReceiveFramed().empty()) << "then closed";
}

// Six megabytes: far more than a connection may leave unread.
TEST_F(DnsServer, AStreamOfMessagesGoesAsFastAsItIsReadAndQueriesBehindItWait) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_STREAM, worker.address());
  client.Send(Join({Framed(MakeQuery("stream.cluster.local", 252)),
                    Framed(MakeQuery(kBackend, 1, {.id = 77}))}));
  for (size_t i = 0; i < Streams::kMessages; ++i) {
    const Bytes message = client.ReceiveFramed();
    ASSERT_EQ(message.size(), Streams::kBytes);
    ASSERT_EQ(IdOf(message), static_cast<int>(i));
  }
  EXPECT_EQ(IdOf(client.ReceiveFramed()), 77);
}

TEST_F(DnsServer, AReplyToAClosedConnectionGoesNowhere) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  {
    Client client(SOCK_STREAM, worker.address());
    client.Send(Framed(MakeQuery("slow.cluster.local", 1)));
    for (int i = 0; i < 500 && worker.On([&] { return worker.server().suspended(); }) == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const linger reset{1, 0};
    setsockopt(client.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  worker.ResumeAll(1);
  EXPECT_EQ(worker.Metric("portolan_dns_tcp_events_total", "reply_without_connection"), 1);
  EXPECT_EQ(worker.On([&] { return worker.server().suspended(); }), 0u);
}

TEST_F(DnsServer, AnOversizedQueryEndsTheConnection) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_STREAM, worker.address());
  client.Send({0xff, 0xff, 0, 0});
  EXPECT_TRUE(client.Receive().empty());
  EXPECT_EQ(worker.Metric("portolan_dns_tcp_events_total", "closed_oversized_query"), 1);
}

TEST_F(DnsServer, ConnectionsAreBoundedAndIdleOnesEnd) {
  ServerOptions options = On("127.0.0.1:0");
  options.tcp.connections = 1;
  options.tcp.idle = absl::Seconds(1);
  Worker worker(cluster_, options);
  Client first(SOCK_STREAM, worker.address());
  first.Send(Framed(MakeQuery(kBackend, 1)));
  EXPECT_EQ(RcodeOf(first.ReceiveFramed()), 0);
  Client second(SOCK_STREAM, worker.address());
  EXPECT_TRUE(second.Receive().empty()) << "over the limit";
  EXPECT_TRUE(first.Receive(4000).empty()) << "idle";
  EXPECT_EQ(worker.Metric("portolan_dns_tcp_events_total", "closed_idle"), 1);
}

TEST_F(DnsServer, AReaderThatNeverReadsIsBounded) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_STREAM, worker.address());
  const timeval short_wait{0, 200000};
  setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &short_wait, sizeof short_wait);
  const Bytes query = Framed(MakeQuery("large.default.svc.cluster.local", 1));
  // Until the server reads no more: what it holds is then one reply, the rest is the kernel's.
  for (int i = 0; i < 200000; ++i) {
    if (send(client.fd(), query.data(), query.size(), MSG_NOSIGNAL) < 0) break;
    ASSERT_LT(i, 199999) << "the server reads on though nobody takes its replies";
  }
  Client other(SOCK_DGRAM, worker.address());
  other.Send(MakeQuery(kBackend, 1));
  EXPECT_EQ(RcodeOf(other.Receive()), 0) << "others are served";
}

TEST_F(DnsServer, QueriesThatWaitAreBoundedAndCounted) {
  ServerOptions options = On("127.0.0.1:0");
  options.suspended_over_udp = 3;
  Worker worker(cluster_, options);
  Client client(SOCK_DGRAM, worker.address());
  for (uint16_t i = 1; i <= 5; ++i) client.Send(MakeQuery("slow.cluster.local", 1, {.id = i}));
  EXPECT_EQ(RcodeOf(client.Receive()), 2);
  EXPECT_EQ(RcodeOf(client.Receive()), 2);
  worker.ResumeAll(3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(RcodeOf(client.Receive()), 0);
}

TEST_F(DnsServer, ANewConfigurationLosesNoQueryThatWaits) {
  Worker worker(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker.address());
  client.Send(MakeQuery("slow.cluster.local", 1, {.id = 1}));
  for (int i = 0; i < 500 && worker.On([&] { return worker.server().suspended(); }) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  worker.On([&] {
    worker.SetChains(cluster_, "west.local");
    return 0;
  });
  client.Send(MakeQuery("backend.default.svc.west.local", 1, {.id = 2}));
  EXPECT_EQ(IdOf(client.Receive()), 2);
  worker.ResumeAll(1);
  const Bytes reply = client.Receive();
  EXPECT_EQ(IdOf(reply), 1);
  EXPECT_EQ(RcodeOf(reply), 0);
}

TEST_F(DnsServer, AServerMayEndWhileQueriesWait) {
  auto worker = std::make_unique<Worker>(cluster_, On("127.0.0.1:0"));
  Client client(SOCK_DGRAM, worker->address());
  client.Send(MakeQuery("slow.cluster.local", 1));
  for (int i = 0; i < 500 && worker->On([&] { return worker->server().suspended(); }) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  worker.reset();
}

TEST_F(DnsServer, APortInUseIsAnErrorThatNamesTheAddress) {
  Fd taken(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_storage name;
  socklen_t length = SocketAddress::Parse("127.0.0.1:0")->ToSockaddr(&name);
  ASSERT_EQ(bind(taken.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
  ASSERT_EQ(getsockname(taken.get(), reinterpret_cast<sockaddr*>(&name), &length), 0);
  const auto address = *SocketAddress::From(reinterpret_cast<sockaddr*>(&name), length);
  EventLoop loop;
  const auto server = Server::Start(loop, {.listen = {address}});
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(server.status().ToString(), testing::HasSubstr("UDP on " + address.ToString()));
}

}  // namespace
}  // namespace portolan::dns
