// An Upstream between clients and two servers on loopback, and what its tests ask for.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <utility>
#include <vector>

#include "dns/upstream/upstream.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns::test {

inline std::vector<Bytes> Silence(const Bytes&) { return {}; }

inline const QueryShape kEdns{.edns_version = 0};

// The value of the first sample of that name, with that label value if one is given.
inline uint64_t Metric(const auto& source, std::string_view name, std::string_view label = {}) {
  MetricFamilies families;
  source.CollectMetrics(families);
  for (const auto& family : families) {
    if (family.name != name) continue;
    for (const auto& metric : family.metric) {
      const auto& labels = metric.label;
      if (label.empty() || std::any_of(labels.begin(), labels.end(),
                                       [&](const auto& one) { return one.value == label; })) {
        return static_cast<uint64_t>(metric.counter.value + metric.gauge.value);
      }
    }
  }
  return 0;
}

// Servers of one upstream, which forgets them as `forward` has it do.
class Servers : public upstream::ServerSet {
 public:
  Servers(const upstream::ServerSetConfig& config, upstream::Upstream& upstream)
      : ServerSet(config, upstream.context()), upstream_(upstream) {}
  ~Servers() { upstream_.Forget(*this); }

 private:
  upstream::Upstream& upstream_;
};

class AskingUpstreams : public ::testing::Test {
 protected:
  upstream::ServerSetConfig Both() { return {{a_.address, b_.address}}; }
  upstream::ServerSetConfig OnlyA() { return {{a_.address}}; }
  static upstream::ServerSetConfig TcpOnly(std::vector<upstream::ServerConfig> servers) {
    upstream::ServerSetConfig config{std::move(servers)};
    config.options.transports = upstream::Transports::kTcpOnly;
    return config;
  }
  upstream::ServerSetConfig Limited(size_t max_concurrent) {
    upstream::ServerSetConfig config = OnlyA();
    config.max_concurrent = max_concurrent;
    return config;
  }
  // An address where nobody listens.
  SocketAddress Nobody() { return FakeServer(loop_).address; }

  // Sends the question and waits for the answer; returns how long that took.
  absl::Duration Ask(upstream::Upstream& upstream, upstream::ServerSet& servers, Client& client) {
    const absl::Time start = absl::Now();
    EXPECT_EQ(upstream.Ask(servers, client.exchange()), Verdict::kPending);
    RunUntil(loop_, [&] { return client.done(); });
    EXPECT_EQ(client.resumed, 1);
    return absl::Now() - start;
  }

  EventLoop loop_;
  FakeServer a_{loop_};
  FakeServer b_{loop_};
  Clients clients_;
};

}  // namespace portolan::dns::test
