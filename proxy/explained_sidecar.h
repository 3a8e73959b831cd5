// The running sidecar as explain asks it (proxy/explain/explainer.h). Main thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "proxy/admin/admin.h"
#include "proxy/explain/explainer.h"
#include "proxy/feed/feed.h"
#include "proxy/own_dialling.h"
#include "proxy/own_place.h"
#include "proxy/pod_resolvers.h"
#include "proxy/settings.h"
#include "proxy/worker.h"

namespace portolan::proxy {

class RunningSidecar final : public ExplainedSidecar {
 public:
  // All outlive it. Explain asks when there are workers and a feed.
  struct Parts {
    EventLoop& loop;
    const Settings& settings;
    AdminSource& admin;
    const PodResolvers& pod_resolvers;
    const OwnDialling& dialling;
    const RouteTableBuilder& routes;
    const OwnPlace& place;
    const std::vector<std::unique_ptr<Worker>>& workers;
    std::function<FeedStatus()> feed_status;
    std::function<ExplainedPolicy()> policy;
    std::function<void(const std::string& service_key)> want_endpoints;
  };
  explicit RunningSidecar(Parts parts) : parts_(std::move(parts)) {}

  const ResolvConf& resolv_conf() override { return parts_.pod_resolvers.current(); }
  std::vector<SocketAddress> nameservers() override;
  // Of the first worker: each has a cache of its own, and an application's questions go to any.
  void Ask(std::vector<uint8_t> query, std::function<void(OwnAnswer)> done) override;
  std::shared_ptr<const Snapshot> snapshot() override { return parts_.admin.snapshot(); }
  std::shared_ptr<const RouteTable> routes() override { return parts_.routes.table(); }
  Place place() override { return parts_.place.current(); }
  bool forwards_udp() override { return parts_.settings.udp != "off"; }
  std::string EndpointsStateOf(const std::string& service_key) override;
  void WantEndpoints(const std::string& service_key) override {
    parts_.want_endpoints(service_key);
  }
  nlohmann::json Feed() override;
  std::string own_namespace() override;
  ExplainedPolicy policy() override { return parts_.policy(); }
  void Describe(std::vector<std::shared_ptr<const Route>> routes,
                std::function<void(States)> done) override;

 private:
  const Parts parts_;
};

}  // namespace portolan::proxy
