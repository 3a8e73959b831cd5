// A feed on a loop that the test turns by hand, and what its delegate was told.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/status.h"
#include "proxy/feed/feed.h"
#include "tests/proxy/feed/fake_control_plane.h"

namespace portolan::proxy {

class RecordingDelegate : public FeedDelegate {
 public:
  void OnDirectory(const Directory::Committed& committed) override {
    snapshots.push_back(committed.snapshot);
    changes.push_back(committed.changes);
  }
  absl::Status OnProxyConfig(const v1::ProxyConfig& config) override {
    ++config_calls;
    if (config.corefile() == "bad") return InvalidArgument("Corefile:1: 'bad' is no directive");
    corefile = config.corefile();
    return absl::OkStatus();
  }
  void OnProxyConfigWithdrawn() override { corefile = "own"; }
  void OnEgressRules(std::shared_ptr<const EgressRules> now) override {
    rules.push_back(std::move(now));
  }
  void OnIngressRules(std::shared_ptr<const EgressRules> now) override {
    ingress_rules.push_back(std::move(now));
  }
  void OnFeedStatus(const FeedStatus& status) override { statuses.push_back(status); }

  std::vector<std::string> TakeUsed(const std::vector<std::string>& services) override {
    std::vector<std::string> taken;
    for (const std::string& service : services) {
      if (used.contains(service)) taken.push_back(service);
    }
    return taken;
  }

  std::vector<std::string> EndpointsOf(const std::string& control_plane) override {
    const auto found = endpoints.find(control_plane);
    return found == endpoints.end() ? std::vector<std::string>() : found->second;
  }

  bool WasEverInSync() const {
    for (const FeedStatus& status : statuses) {
      if (status.in_sync) return true;
    }
    return false;
  }

  std::vector<std::shared_ptr<const Snapshot>> snapshots;
  std::vector<DirectoryChanges> changes;
  std::vector<FeedStatus> statuses;
  std::vector<std::shared_ptr<const EgressRules>> rules;
  std::vector<std::shared_ptr<const EgressRules>> ingress_rules;
  std::string corefile;
  int config_calls = 0;
  std::set<std::string> used;
  std::map<std::string, std::vector<std::string>> endpoints;  // of control planes
};

class FeedTest : public testing::Test {
 protected:
  // Turns the loop until `condition` holds; false if it does not within half a minute, which a
  // loaded machine may need.
  bool Until(const std::function<bool()>& condition) {
    return Turn(std::chrono::seconds(30), condition);
  }
  void TurnFor(std::chrono::milliseconds time) {
    Turn(time, [] { return false; });
  }

  FeedOptions Options(const FakeControlPlane& control_plane) {
    FeedOptions options;
    options.control_planes = {control_plane.address()};
    options.node_id = "default/frontend-1";
    options.version = "test";
    options.first_retry = absl::Milliseconds(10);
    options.save_interval = absl::Milliseconds(20);
    return options;
  }

  void StartFeed(FeedOptions options) {
    feed = std::make_unique<Feed>(loop, std::move(options), delegate);
    feed->Start();
  }

  bool UntilSubscribed() {
    return Until([&] { return server.IsSubscribed(); });
  }
  bool UntilInSync() {
    return Until([&] { return feed->status().in_sync; });
  }
  // The response of the type that was sent last was taken or refused.
  bool UntilAnswered(std::string_view type_url) {
    return Until([&] {
      const std::string nonce = server.LastNonce(type_url);
      return !nonce.empty() && server.Answer(type_url).response_nonce() == nonce;
    });
  }
  void SyncEmpty() {
    ASSERT_TRUE(UntilSubscribed());
    server.SendEmptySets();
    ASSERT_TRUE(UntilInSync());
  }
  const Service* FindService(std::string_view name) {
    return feed->snapshot()->FindService("default/" + std::string(name));
  }

  EventLoop loop;
  RecordingDelegate delegate;
  FakeControlPlane server;
  std::unique_ptr<Feed> feed;

 private:
  bool Turn(std::chrono::milliseconds time, const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + time;
    bool met = false;
    EventLoop::Timer timer;
    timer = loop.AddTimer([&] {
      met = condition();
      if (met || std::chrono::steady_clock::now() >= end) return loop.Stop();
      timer.Start(absl::Milliseconds(1));
    });
    timer.Start(absl::ZeroDuration());
    loop.Run();
    return met;
  }
};

}  // namespace portolan::proxy
