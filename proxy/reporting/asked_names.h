// What the pod asks one worker for: the names that come most often, and what the search list costs.
// The fields of AmplificationReport (portolan/v1/sidecars.proto) are counted here with each reply,
// and those of NamesReport by a sample where there are many (common/sample.h); 80 KB. The worker's
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/most_seen.h"
#include "dns/server/reply_observer.h"
#include "dns/wire/name.h"
#include "proxy/reporting/search_walks.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {

struct AskedCounts {
  uint64_t queries = 0;
  uint64_t nxdomain = 0;
  uint64_t search_list = 0;
  dns::Exchange::Time last{};

  void Add(const AskedCounts& more);
};

// As in AmplificationReport.
struct Amplification {
  uint64_t search_list_queries = 0;
  uint64_t upstream_queries = 0;
  uint64_t saved_by_autopath = 0;
  uint64_t saved_by_trailing_dot = 0;

  void Add(const Amplification& more);
};

class AskedNames : public dns::ReplyObserver {
 public:
  enum class Names { kCounted, kLeftOut };

  // `walks` is shared by all workers and outlives it.
  AskedNames(SearchWalks& walks, Names names)
      : ReplyObserver(walks.on_the_way_until()), walks_(walks), names_(names) {}

  // The search list of the pod's resolv.conf. What is no name is left out.
  void SetSearch(const std::vector<std::string>& search);

  // What was counted so far; taken for a report, so that what is asked for no more makes room. Of
  // more names those that were asked for most: twice what a report has room for, as several may
  // mean one Service.
  static constexpr size_t kMostTaken = 2 * api::kMaxReportedNames;
  struct View {
    struct Name {
      std::string name;  // lower case, in wire form without the root label
      AskedCounts counts;
    };
    std::vector<Name> names;  // in no order; none where they are left out
    AskedCounts others;
    Amplification amplification;
  };
  View TakeView();

 private:
  using Bytes = std::span<const uint8_t>;

  void OnReply(const dns::Exchange& exchange, uint32_t times) override;

  // The name in front of an end of the search list.
  struct Step {
    Bytes name;
    uint64_t hash;
  };
  Step StepTo(const dns::wire::Query& query, const dns::wire::Zone& end) const;
  std::optional<Step> FindStep(const dns::wire::Query& query, uint32_t now) const;
  uint32_t EndWalk(const dns::wire::Query& query, uint64_t hash, uint32_t now);

  SearchWalks& walks_;
  const Names names_;
  std::vector<dns::wire::Zone> search_;
  MostSeen<AskedCounts, dns::wire::kMaxNameBytes> most_asked_;
  Amplification amplification_;
};

}  // namespace portolan::proxy
