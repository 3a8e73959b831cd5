#include "proxy/reporting/names_report.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/monotonic.h"
#include "common/string_map.h"
#include "directory/listing.h"
#include "proxy/reporting/busiest.h"
#include "proxy/reporting/report_text.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

// Further than this the clock was set.
constexpr absl::Duration kDrift = absl::Seconds(2);

struct Asked {
  bool service = false;
  AskedCounts counts;
};

// "default/backend" for all names below that Service, or the name.
std::pair<std::string, bool> MeaningOf(std::string_view wire, const Snapshot& snapshot,
                                       std::string_view cluster_domain) {
  std::string text = ReportNameWithDot(wire);
  std::string key = ServiceKeyOf(text, cluster_domain);
  if (!key.empty() && snapshot.FindService(key) != nullptr) return {std::move(key), true};
  if (text.size() > 1) text.pop_back();
  return {std::move(text), false};
}

}  // namespace

int64_t WallClock::UnixSeconds(dns::Exchange::Time moment) {
  const absl::Duration now = absl::Now() - absl::UnixEpoch() - Monotonic();
  if (absl::AbsDuration(now - since_epoch_) > kDrift) since_epoch_ = now;
  return absl::ToInt64Seconds(since_epoch_ + absl::FromChrono(moment.time_since_epoch()));
}

void SetAsked(std::span<const AskedNames::View> workers, const Snapshot& snapshot,
              std::string_view cluster_domain, WallClock& clock, v1::NamesReport* names,
              v1::AmplificationReport& amplification) {
  Amplification sum;
  for (const AskedNames::View& worker : workers) sum.Add(worker.amplification);
  amplification.set_search_list_queries(sum.search_list_queries);
  amplification.set_upstream_queries(sum.upstream_queries);
  amplification.set_saved_by_autopath(sum.saved_by_autopath);
  amplification.set_saved_by_trailing_dot(sum.saved_by_trailing_dot);
  if (names == nullptr) return;

  StringMap<Asked> by_meaning;
  uint64_t others = 0;
  for (const AskedNames::View& worker : workers) {
    others += worker.others.queries;
    for (const AskedNames::View::Name& name : worker.names) {
      auto [meaning, is_service] = MeaningOf(name.name, snapshot, cluster_domain);
      Asked& asked = by_meaning[std::move(meaning)];
      asked.service = is_service;
      asked.counts.Add(name.counts);
    }
  }
  std::vector<std::pair<std::string, Asked>> all(by_meaning.begin(), by_meaning.end());
  const auto rest = KeepBusiest(all, api::kMaxReportedNames,
                                [](const Asked& asked) { return asked.counts.queries; });
  for (const auto& [meaning, asked] : rest) others += asked.counts.queries;
  names->set_others(others);
  for (const auto& [meaning, asked] : all) {
    v1::AskedName& one = *names->add_names();
    one.set_name(meaning);
    one.set_service(asked.service);
    one.set_queries(asked.counts.queries);
    one.set_nxdomain(asked.counts.nxdomain);
    one.set_search_list(asked.counts.search_list);
    one.set_last_asked_unix_s(clock.UnixSeconds(asked.counts.last));
  }
}

}  // namespace portolan::proxy
