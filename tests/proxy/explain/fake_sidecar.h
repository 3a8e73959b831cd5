// A sidecar of the small cluster, for what explains it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/event_loop.h"
#include "common/resolv_conf.h"
#include "proxy/explain/explainer.h"
#include "tests/directory/small_cluster.h"
#include "tests/proxy/explain/odd_server.h"

namespace portolan::proxy {

// One whose own answers are OddServer's, by way of the loop.
class FakeSidecar : public ExplainedSidecar {
 public:
  explicit FakeSidecar(EventLoop& loop) : loop_(loop) {
    PutSmallCluster(directory);
    builder.Apply(directory.Commit(), EndpointsHeld::kAll);
    explained_policy.cluster_zones = {*dns::wire::Zone::Parse("cluster.local")};
  }

  const ResolvConf& resolv_conf() override { return conf; }
  std::vector<SocketAddress> nameservers() override { return servers; }
  void Ask(std::vector<uint8_t> query, std::function<void(OwnAnswer)> done) override {
    ++questions;
    const std::string reply = OddServer::ReplyTo({query.begin(), query.end()});
    if (reply.empty() && silent) return;
    OwnAnswer answer;
    answer.reply.assign(reply.begin(), reply.end());
    if (completes) Complete(answer);
    answer.trace.plugin = "kubernetes";
    answer.trace.zone = "cluster.local.";
    answer.trace.steps = {{{"plugin", "kubernetes"}, {"service", "default/backend"}}};
    loop_.Post([done, answer] { done(answer); });
  }
  std::shared_ptr<const Snapshot> snapshot() override { return directory.snapshot(); }
  std::shared_ptr<const RouteTable> routes() override { return builder.table(); }
  Place place() override { return {}; }
  bool forwards_udp() override { return forwards; }
  std::string EndpointsStateOf(const std::string& key) override { return "held " + key; }
  void WantEndpoints(const std::string& key) override { wanted.push_back(key); }
  nlohmann::json Feed() override { return {{"inSync", true}, {"age", "0"}}; }
  std::string own_namespace() override { return "default"; }
  ExplainedPolicy policy() override { return explained_policy; }
  void Describe(std::vector<std::shared_ptr<const Route>> described,
                std::function<void(States)> done) override {
    States states(described.size());
    for (size_t i = 0; i < described.size(); ++i) {
      states[i].resize(1);
      for (const RouteEndpoint& one : described[i]->endpoints) {
        states[i][0].push_back({.address = one.address, .active = 7});
      }
    }
    loop_.Post([done, states] { done(states); });
  }

  ResolvConf conf = ParseResolvConf(
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.43.0.10\noptions ndots:5\n",
      "resolv.conf");
  std::vector<SocketAddress> servers;
  ExplainedPolicy explained_policy;
  Directory directory;
  RouteTableBuilder builder;
  bool silent = true;
  bool forwards = false;  // UDP
  std::vector<std::string> wanted;
  int questions = 0;
  // As `autopath` does: what is not there is api.example.com, at 192.0.2.1.
  bool completes = false;

 private:
  static void Complete(OwnAnswer& answer) {
    if (answer.reply[3] != 0x83) return;
    const std::string name(
        "\x03"
        "api\x07"
        "example\x03"
        "com\0",
        17);
    const std::string cname("\xc0\x0c\0\x05\0\x01\0\0\0\x1e\0\x11", 12);
    const std::string address("\0\x01\0\x01\0\0\0\x1e\0\x04\xc0\0\x02\x01", 14);
    for (const std::string& part : {cname, name, name, address}) {
      answer.reply.insert(answer.reply.end(), part.begin(), part.end());
    }
    answer.reply[3] = 0x80;
    answer.reply[7] = 2;
    answer.trace.completed = true;
  }

  EventLoop& loop_;
};

}  // namespace portolan::proxy
