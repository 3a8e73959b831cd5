// The directive `cache`: keeps upstreams' replies (cache_config.h has its words).
//
// Unlike CoreDNS's it never delays a change in the cluster: its link stands where questions leave
// the sidecar, in front of `forward`, so that what is local is answered before it is asked. What is
// stored, for how long and how it is answered is as in CoreDNS. Beyond CoreDNS, a name whose parent
// is known not to exist is answered at once (RFC 8020), and for names that a client completes with
// its search list that parent is asked for in the background.
//
// https://coredns.io/plugins/cache/, RFC 2308 (denials), RFC 8767 (stale replies), RFC 8914.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/cache_config.h"
#include "dns/plugins/cache_reply.h"
#include "dns/plugins/cache_store.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadCache(const corefile::Directive& directive, LoadContext& context);

// Where a cache stands.
struct CachePlace {
  // CoreDNS's label of its metrics.
  std::string server = "dns://:53";
  // How many workers share the capacity.
  size_t workers = 1;
  // The search list of the pod.
  std::vector<std::string> search = {};
  // Zones whose questions go to other servers than those above them: what is denied above says
  // nothing of them.
  std::vector<wire::Zone> borders = {};
  // What a cache before this one held, of the same capacity; null: nothing yet.
  std::shared_ptr<CacheStore> store = nullptr;
};

using CacheClock = std::function<CacheTime()>;

class Cache : public Plugin {
 public:
  // More clients do not wait for `verify`: they get the stale reply at once.
  static constexpr size_t kMaxWaiting = 128;
  // The least time between two refreshes of a reply: longer than any question takes.
  static constexpr std::chrono::seconds kRefreshPause{6};

  // `loop` outlives the plugin.
  Cache(const CacheConfig& config, const CachePlace& place, EventLoop& loop,
        CacheClock clock = std::chrono::steady_clock::now);
  // Clients that still wait get no reply.
  ~Cache() override;

  std::string_view name() const override { return "cache"; }
  Verdict OnQuery(Exchange& exchange) override;
  After OnReply(Exchange& exchange) override;
  // (cache_explain.cc) The entry, its age and the time it has left.
  nlohmann::json Explain(const Exchange& exchange) const override;
  void CollectMetrics(MetricFamilies& families) const override;

  const CacheStore& store() const { return *store_; }

 private:
  // A client that waits for a refresh (verify with a time limit).
  struct Waiting {
    Suspended* client;
    uint64_t question;
    CacheTime until;
  };
  // A name that was asked for in the background.
  struct Asked {
    uint64_t question = 0;
    CacheTime until;
  };

  bool Covers(const wire::Query& query) const;
  bool IsDisabled(CacheKind kind, const wire::Query& query) const;
  // Below zero when it is stale.
  int64_t SecondsLeft(const CacheEntry& entry, CacheTime now) const;
  // Fresh, or stale and still served.
  bool IsUsable(const CacheEntry& entry, CacheTime now) const;

  // The first two answer and return true if the reply fits the exchange.
  bool Answer(Exchange& exchange, const CacheEntry& entry, uint32_t ttl) const;
  bool AnswerStale(Exchange& exchange, const CacheEntry& entry);
  // How many labels a name above the one asked has at least whose denial counts for it.
  size_t LeastLabelsOfCut(const wire::Query& query) const;
  // Out of a denial of a name above the one asked.
  bool AnswerBelowDenied(Exchange& exchange, CacheTime now);

  Verdict OnFresh(Exchange& exchange, CacheEntry& entry, CacheTime now);
  Verdict OnStale(Exchange& exchange, CacheEntry& entry, CacheTime now);
  bool WantsPrefetch(CacheEntry& entry, CacheTime now, int64_t left) const;
  void Refresh(Exchange& exchange, CacheEntry& entry, CacheTime now);

  // `verify` with a time limit.
  Verdict WaitForRefresh(Exchange& exchange, CacheEntry& entry, CacheTime now);
  void EndWaiting(size_t place);
  void EndAllWaitingFor(uint64_t question);
  void OnTimer();

  uint32_t TtlFor(const CacheableReply& reply) const;
  // False if it must not be stored, or its store must not have it.
  bool Store(Exchange& exchange, const CacheableReply& reply, CacheTime now, uint32_t ttl);
  void RemoveOutdated(const Exchange& exchange, const CacheableReply& reply, CacheTime now);
  // A reply that is no answer gives way to a stale one.
  bool ReplaceByStale(Exchange& exchange, const CacheableReply& reply, CacheTime now);
  // After a denial of a completed name: asks for what decides on its like.
  void AskAboutSuffix(Exchange& exchange, const CacheableReply& reply, CacheTime now, uint32_t ttl);

  const CacheConfig config_;
  const CachePlace place_;
  const std::string zones_label_;
  const CacheClock clock_;
  std::vector<wire::Zone> search_;  // most labels first
  const std::shared_ptr<CacheStore> store_;

  std::vector<Waiting> waiting_;  // by `until`
  std::optional<EventLoop::Timer> timer_;
  std::array<Asked, 64> asked_;  // by hash

  std::array<Counter, kCacheKinds> hits_;
  struct {
    Counter requests, misses, prefetched, drops, served_stale;
    Counter below_denied, suffixes_asked, too_large;
  } counters_;
};

}  // namespace portolan::dns
