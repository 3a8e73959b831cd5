// What `cache` is about to do with a question, in words.

#include <fmt/format.h>

#include <chrono>

#include <nlohmann/json.hpp>

#include "dns/plugins/cache.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

using nlohmann::json;

int64_t AgeOf(const CacheEntry& entry, CacheTime now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now - entry.stored).count();
}

json EntryJson(const CacheEntry& entry, CacheTime now, int64_t left) {
  return {{"rcode", wire::RcodeWord(entry.rcode())},
          {"ageSeconds", AgeOf(entry, now)},
          {"ttlSeconds", entry.ttl},
          {"secondsLeft", left},
          {"stale", left <= 0}};
}

}  // namespace

json Cache::Explain(const Exchange& exchange) const {
  const wire::Query& query = exchange.query();
  if (!Covers(query)) return {{"says", "not a question that is cached here"}};
  const CacheTime now = clock_();
  const CacheEntry* entry = store_->Find(CacheQuestion::Of(query));
  if (entry != nullptr && IsUsable(*entry, now)) {
    const int64_t left = SecondsLeft(*entry, now);
    return {{"entry", EntryJson(*entry, now, left)},
            {"says",
             left > 0 ? fmt::format("cached {} s ago, good for {} s more", AgeOf(*entry, now), left)
                      : fmt::format("cached {} s ago, stale since {} s: served all the same",
                                    AgeOf(*entry, now), -left)}};
  }
  const uint8_t modes = CacheQuestion::Of(query).modes;
  const bool cuts = store_->has_cuts() && !query.dnssec_ok;
  for (size_t labels = LeastLabelsOfCut(query); cuts && labels < query.labels; ++labels) {
    const auto above = query.lower_name().subspan(query.label_at[query.labels - labels]);
    const CacheEntry* cut = store_->FindCut(above, modes);
    if (cut == nullptr || SecondsLeft(*cut, now) <= 0) continue;
    return {{"entry", EntryJson(*cut, now, SecondsLeft(*cut, now))},
            {"says", fmt::format("{} is known not to exist, and so nothing below it",
                                 wire::NameToText(above))}};
  }
  if (entry == nullptr) return {{"says", "not in the cache"}};
  return {{"says", fmt::format("what was cached {} s ago is over", AgeOf(*entry, now))}};
}

}  // namespace portolan::dns
