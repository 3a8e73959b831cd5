#include "proxy/reporting/asked_names.h"

#include <algorithm>

#include "dns/plugins/service_table.h"

namespace portolan::proxy {
namespace {

using dns::wire::Query;
using dns::wire::Rcode;
using dns::wire::Zone;

uint64_t HashOf(std::span<const uint8_t> name) { return dns::ServiceTable::HashOf(name); }

// A resolver walks for A and for AAAA at once.
uint64_t WalkOf(uint64_t name_hash, const Query& query) {
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;
  return name_hash + query.type * kFactor;
}

Rcode RcodeOf(std::span<const uint8_t> reply) {
  return reply.size() > 3 ? static_cast<Rcode>(reply[3] & 15) : Rcode::kServFail;
}

// Has something in front of it.
bool EndsIn(const Query& query, const Zone& end) {
  return query.labels > end.labels && end.Holds(query);
}

}  // namespace

void AskedCounts::Add(const AskedCounts& more) {
  queries += more.queries;
  nxdomain += more.nxdomain;
  search_list += more.search_list;
  last = std::max(last, more.last);
}

void Amplification::Add(const Amplification& more) {
  search_list_queries += more.search_list_queries;
  upstream_queries += more.upstream_queries;
  saved_by_autopath += more.saved_by_autopath;
  saved_by_trailing_dot += more.saved_by_trailing_dot;
}

void AskedNames::SetSearch(const std::vector<std::string>& search) {
  search_.clear();
  for (const std::string& name : search) {
    auto zone = Zone::Parse(name);
    if (zone.ok() && zone->labels > 0) search_.push_back(*std::move(zone));
  }
}

void AskedNames::OnReply(const dns::Exchange& exchange, uint32_t times) {
  const Query& query = exchange.query();
  if (query.qclass != dns::wire::kClassIn) return;
  const uint32_t now = Seconds(exchange.received());
  const Rcode rcode = RcodeOf(exchange.reply());
  if (exchange.asked() != nullptr) ++amplification_.upstream_queries;

  Step counted{query.lower_name().first(query.name_bytes - 1u), 0};
  counted.hash = HashOf(counted.name);
  std::optional<Step> step;
  if (rcode == Rcode::kNxDomain) {
    const auto all = static_cast<uint32_t>(search_.size());
    const uint32_t steps = walks_.End(WalkOf(counted.hash, query), all, now);
    amplification_.saved_by_trailing_dot += steps;
    if (steps == 0) step = FindStep(query, now);
    if (step.has_value()) {
      ++amplification_.search_list_queries;
      walks_.Step(WalkOf(step->hash, query), now);
    }
  } else if (exchange.completed()) {
    step = FindStep(query, now);
  } else if (rcode == Rcode::kNoError) {
    const uint32_t steps = EndWalk(query, counted.hash, now);
    amplification_.saved_by_autopath += steps;
    amplification_.saved_by_trailing_dot += steps;
  }
  if (times == 0 || names_ == Names::kLeftOut) return;

  if (step.has_value()) counted = *step;
  AskedCounts& counts = most_asked_.See(counted.name, counted.hash);
  counts.queries += times;
  if (rcode == Rcode::kNxDomain) counts.nxdomain += times;
  if (step.has_value()) counts.search_list += times;
  counts.last = exchange.received();
}

AskedNames::Step AskedNames::StepTo(const Query& query, const Zone& end) const {
  const Bytes name = query.lower_name().first(query.name_bytes - end.wire.size());
  return {name, HashOf(name)};
}

// x.default.svc.cluster.local may be x or, less likely, x.default with the second of the list: that
// if x.default is on its way.
std::optional<AskedNames::Step> AskedNames::FindStep(const Query& query, uint32_t now) const {
  const Zone* longest = nullptr;
  for (size_t i = 0; i < search_.size(); ++i) {
    if (!EndsIn(query, search_[i])) continue;
    if (i > 0) {
      const Step step = StepTo(query, search_[i]);
      if (walks_.IsOnItsWay(WalkOf(step.hash, query), now)) return step;
    }
    if (longest == nullptr || search_[i].labels > longest->labels) longest = &search_[i];
  }
  if (longest == nullptr) return std::nullopt;
  return StepTo(query, *longest);
}

// The name exists: alone, behind all of the list, or with one of its ends, behind those before.
uint32_t AskedNames::EndWalk(const Query& query, uint64_t hash, uint32_t now) {
  if (!walks_.AnyIsOnItsWay(now)) return 0;
  const auto all = static_cast<uint32_t>(search_.size());
  uint32_t steps = walks_.End(WalkOf(hash, query), all, now);
  for (uint32_t i = 1; i < all && steps == 0; ++i) {
    if (!EndsIn(query, search_[i])) continue;
    steps = walks_.End(WalkOf(StepTo(query, search_[i]).hash, query), i, now);
  }
  return steps;
}

AskedNames::View AskedNames::TakeView() {
  struct Seen {
    Bytes name;
    const AskedCounts* counts;
  };
  std::vector<Seen> seen;
  most_asked_.ForEach([&](Bytes name, const AskedCounts& counts) {
    seen.push_back({name, &counts});
  });
  View view;
  view.others = most_asked_.others();
  view.amplification = amplification_;
  if (seen.size() > kMostTaken) {
    const auto rest = seen.begin() + kMostTaken;
    std::nth_element(seen.begin(), rest, seen.end(), [](const Seen& a, const Seen& b) {
      return a.counts->queries > b.counts->queries;
    });
    std::for_each(rest, seen.end(), [&](const Seen& one) { view.others.Add(*one.counts); });
    seen.erase(rest, seen.end());
  }
  view.names.reserve(seen.size());
  for (const Seen& one : seen) {
    view.names.push_back({{one.name.begin(), one.name.end()}, *one.counts});
  }
  most_asked_.Age();
  return view;
}

}  // namespace portolan::proxy
