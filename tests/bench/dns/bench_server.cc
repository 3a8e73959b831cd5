// The DNS server with a directory of its own making: portolan-proxy's answer path without the rest.
//
//   dns_bench_server --listen 127.0.0.1:5300 [--names 2000] [--workers 1]
#include <csignal>
#include <thread>
#include <vector>

#include "common/event_loop.h"
#include "common/flags.h"
#include "common/log.h"
#include "dns/plugins/kubernetes.h"
#include "dns/plugins/loadbalance.h"
#include "dns/plugins/service_records.h"
#include "dns/server/server.h"
#include "tests/bench/dns/names.h"

namespace portolan::dns::bench {
namespace {

std::shared_ptr<const ClusterData> MakeCluster(size_t names) {
  Directory directory;
  for (size_t i = 0; i < names; ++i) {
    const uint32_t ip = Address(i);
    const std::array<uint8_t, 4> bytes = {static_cast<uint8_t>(ip >> 24),
                                          static_cast<uint8_t>(ip >> 16),
                                          static_cast<uint8_t>(ip >> 8), static_cast<uint8_t>(ip)};
    Service service;
    service.name = {"bench", ServiceName(i)};
    service.cluster_ips = {IpAddress::V4(bytes)};
    directory.Put(std::move(service));
  }
  ServiceRecordsCompiler compiler;
  auto records = compiler.Apply(directory.Commit(), absl::Now());
  return std::make_shared<const ClusterData>(
      ClusterData{FeedTrust::kInSync, directory.snapshot(), std::move(records)});
}

// One worker: its chain, its server, its loop.
class Worker {
 public:
  absl::Status Start(const SocketAddress& listen, const std::shared_ptr<const ClusterData>& data) {
    holder_.Replace(data);
    auto server = Server::Start(loop_, {.listen = {listen}});
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    KubernetesConfig config;
    config.zones = {*wire::Zone::Parse("cluster.local")};
    config.primary = config.zones[0];
    std::vector<std::unique_ptr<Plugin>> links;
    links.push_back(std::make_unique<Loadbalance>(reinterpret_cast<uintptr_t>(this)));
    links.push_back(std::make_unique<Kubernetes>(std::move(config), holder_));
    server_->SetChains({{*wire::Zone::Parse("."), std::make_shared<Chain>(std::move(links))}});
    return absl::OkStatus();
  }
  EventLoop& loop() { return loop_; }

 private:
  EventLoop loop_;
  ClusterDataHolder holder_;
  std::unique_ptr<Server> server_;
};

int Main(int argc, const char* const* argv) {
  SocketAddress listen;
  size_t names = 2000, workers = 1;
  CLI::App app("The DNS server of the bench");
  AddFlag(app, "--listen", listen, "ADDRESS:PORT")->required();
  app.add_option("--names", names)->check(CLI::Range(1, 65536));
  app.add_option("--workers", workers)->check(CLI::Range(1, 64));
  if (auto status = ParseFlags(app, argc, argv)) return *status;

  const auto data = MakeCluster(names);
  std::vector<std::unique_ptr<Worker>> all;
  for (size_t i = 0; i < workers; ++i) {
    all.push_back(std::make_unique<Worker>());
    if (absl::Status status = all.back()->Start(listen, data); !status.ok()) {
      log::error("{}", Message(status));
      return kExitFailed;
    }
  }
  std::vector<std::thread> threads;
  for (size_t i = 1; i < workers; ++i) threads.emplace_back([&, i] { all[i]->loop().Run(); });
  auto stop = all[0]->loop().AddSignal(SIGTERM, [&] {
    for (auto& worker : all) worker->loop().Stop();
  });
  all[0]->loop().Run();
  for (std::thread& thread : threads) thread.join();
  return kExitOk;
}

}  // namespace
}  // namespace portolan::dns::bench

int main(int argc, char** argv) { return portolan::dns::bench::Main(argc, argv); }
