#include "dns/plugins/cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_join.h"
#include "dns/corefile/words.h"
#include "dns/plugins/cache_stores.h"
#include "dns/plugins/forward.h"
#include "dns/plugins/registry.h"
#include "dns/wire/bytes.h"
#include "dns/wire/edns.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using wire::ExtendedError;
namespace flag = wire::flag;

constexpr uint16_t kKeptFlags = flag::kAuthenticData | flag::kRecursionAvailable | 15;
constexpr uint16_t kAxfr = 252, kIxfr = 251;
constexpr std::array<std::string_view, kCacheKinds> kKindNames = {"success", "denial"};

std::vector<wire::Zone> SearchDomains(const std::vector<std::string>& search) {
  std::vector<wire::Zone> domains;
  for (const std::string& text : search) {
    auto domain = wire::Zone::Parse(text);
    if (domain.ok() && domain->labels > 0) domains.push_back(*std::move(domain));
  }
  std::stable_sort(domains.begin(), domains.end(),
                   [](const auto& a, const auto& b) { return a.labels > b.labels; });
  return domains;
}

std::array<size_t, kCacheKinds> Shares(const CacheConfig& config, size_t workers) {
  std::array<size_t, kCacheKinds> shares;
  for (size_t i = 0; i < kCacheKinds; ++i) {
    shares[i] = (config.kinds[i].capacity + workers - 1) / workers;
  }
  return shares;
}

std::string ZonesLabel(const std::vector<wire::Zone>& zones) {
  std::vector<std::string> texts;
  texts.reserve(zones.size());
  for (const wire::Zone& zone : zones) texts.push_back(zone.text);
  return absl::StrJoin(texts, ",");
}

CacheKind KindOf(ReplySort sort) {
  const bool success = sort == ReplySort::kNoError || sort == ReplySort::kDelegation;
  return success ? CacheKind::kSuccess : CacheKind::kDenial;
}

bool IsServfail(const CacheEntry& entry) {
  return entry.rcode() == static_cast<uint8_t>(wire::Rcode::kServFail) ||
         entry.rcode() == static_cast<uint8_t>(wire::Rcode::kNotImp);
}

bool IsFailure(const CacheableReply& reply) {
  return reply.reply.rcode() != static_cast<uint16_t>(wire::Rcode::kNoError) &&
         reply.reply.rcode() != static_cast<uint16_t>(wire::Rcode::kNxDomain);
}

// The part of the name that begins at its label number `label`.
std::span<const uint8_t> SuffixOf(const wire::Query& query, size_t label) {
  return query.lower_name().subspan(query.label_at[label]);
}

// RFC 6840 5.7, 5.8: AD is for those who asked for it.
bool WantsAuthenticData(const wire::Query& query) {
  return query.dnssec_ok || (query.flags & flag::kAuthenticData) != 0;
}

void ClearAuthenticData(std::span<uint8_t> reply) {
  wire::Store16(&reply[2], wire::Load16(&reply[2]) & static_cast<uint16_t>(~flag::kAuthenticData));
}

// Of CacheStores, without the servers that are asked.
std::string KeyOf(const corefile::Directive& directive, const LoadContext& context) {
  return context.server() + ' ' + ZonesLabel(context.zones()) + ' ' + corefile::WordsOf(directive);
}

}  // namespace

absl::Status LoadCache(const corefile::Directive& directive, LoadContext& context) {
  auto config = ParseCache(directive, context.zones());
  if (!config.ok()) return config.status();
  // Not at its own place, in front of the cluster's names (cache.h).
  context.set_place(ChainPlace("loop"));
  context.AddLink([config = *std::move(config), server = context.server(),
                   borders = context.borders(), key = KeyOf(directive, context),
                   forwards = context.shared_forwards()](const PluginContext& worker) {
    CachePlace place{server, worker.workers, worker.search, *borders};
    if (worker.cache_stores != nullptr) {
      place.store = worker.cache_stores->Of(key + forwards->words, Shares(config, worker.workers));
    }
    return std::make_unique<Cache>(config, place, worker.loop);
  });
  return absl::OkStatus();
}

Cache::Cache(const CacheConfig& config, const CachePlace& place, EventLoop& loop, CacheClock clock)
    : config_(config),
      place_(place),
      zones_label_(ZonesLabel(config.zones)),
      clock_(std::move(clock)),
      search_(SearchDomains(place.search)),
      store_(place.store != nullptr ? place.store
                                    : std::make_shared<CacheStore>(Shares(config, place.workers))) {
  if (config_.verify_timeout == absl::ZeroDuration()) return;
  waiting_.reserve(kMaxWaiting);
  timer_ = loop.AddTimer([this] { OnTimer(); });
}

Cache::~Cache() {
  for (const Waiting& waiting : std::exchange(waiting_, {})) waiting.client->Drop();
}

bool Cache::Covers(const wire::Query& query) const {
  // With a client subnet the answer may be for that client's network alone.
  return query.type != kAxfr && query.type != kIxfr && wire::AnyHolds(config_.zones, query) &&
         !wire::FindOption(query.edns_options, wire::kClientSubnetOption).has_value();
}

bool Cache::IsDisabled(CacheKind kind, const wire::Query& query) const {
  return wire::AnyHolds(config_.kinds[static_cast<size_t>(kind)].disabled, query);
}

int64_t Cache::SecondsLeft(const CacheEntry& entry, CacheTime now) const {
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - entry.stored);
  return int64_t{entry.ttl} - age.count();
}

bool Cache::IsUsable(const CacheEntry& entry, CacheTime now) const {
  const int64_t left = SecondsLeft(entry, now);
  return left > 0 || (!IsServfail(entry) && -left < absl::ToInt64Seconds(config_.stale));
}

Verdict Cache::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  if (!Covers(query)) return Verdict::kNext;
  counters_.requests.Add();
  const CacheTime now = clock_();
  Verdict verdict = Verdict::kNext;
  CacheEntry* entry = store_->Find(CacheQuestion::Of(query));
  if (entry != nullptr && IsUsable(*entry, now)) {
    verdict = SecondsLeft(*entry, now) > 0 ? OnFresh(exchange, *entry, now)
                                           : OnStale(exchange, *entry, now);
  } else if (AnswerBelowDenied(exchange, now)) {
    verdict = Verdict::kAnswered;
  }
  if (verdict != Verdict::kNext) return verdict;
  counters_.misses.Add();
  exchange.set_answered_by_upstream(false);  // but what was asked before may have been
  return Verdict::kNext;
}

Verdict Cache::OnFresh(Exchange& exchange, CacheEntry& entry, CacheTime now) {
  const int64_t left = SecondsLeft(entry, now);
  const uint32_t ttl = config_.keep_ttl ? entry.ttl : static_cast<uint32_t>(left);
  if (!Answer(exchange, entry, ttl)) return Verdict::kNext;
  hits_[static_cast<size_t>(entry.kind)].Add();
  if (IsServfail(entry)) exchange.AddExtendedError(ExtendedError::kCachedError, {});
  if (WantsPrefetch(entry, now, left)) Refresh(exchange, entry, now);
  return Verdict::kAnswered;
}

Verdict Cache::OnStale(Exchange& exchange, CacheEntry& entry, CacheTime now) {
  if (config_.refresh == CacheConfig::Refresh::kVerify) {
    // OnReply has the stale reply where the upstream has none.
    return timer_.has_value() ? WaitForRefresh(exchange, entry, now) : Verdict::kNext;
  }
  if (!AnswerStale(exchange, entry)) return Verdict::kNext;
  Refresh(exchange, entry, now);
  return Verdict::kAnswered;
}

bool Cache::WantsPrefetch(CacheEntry& entry, CacheTime now, int64_t left) const {
  if (config_.prefetch_amount == 0) return false;
  const bool pause = now - entry.last_hit > absl::ToChronoNanoseconds(config_.prefetch_pause);
  entry.hits = pause ? 1 : entry.hits + 1;
  entry.last_hit = now;
  // Rounded up, so that there is a second to do it in.
  const int64_t threshold = (int64_t{entry.ttl} * config_.prefetch_percentage + 99) / 100;
  return entry.hits >= config_.prefetch_amount && left <= threshold;
}

// The entry may be another one afterwards.
void Cache::Refresh(Exchange& exchange, CacheEntry& entry, CacheTime now) {
  if (now < entry.next_refresh) return;
  entry.next_refresh = now + kRefreshPause;
  if (exchange.AskInBackground()) counters_.prefetched.Add();
}

bool Cache::Answer(Exchange& exchange, const CacheEntry& entry, uint32_t ttl) const {
  const wire::Query& query = exchange.query();
  if (entry.message_bytes > exchange.room().size()) return false;
  store_->Copy(entry, ttl, exchange.room());
  upstream::Reply reply;
  reply.message = exchange.room().first(entry.message_bytes);
  for (size_t i = 0; i < reply.counts.size(); ++i) {
    reply.section_end[i] = entry.section_end[i];
    reply.counts[i] = entry.counts[i];
  }
  // AA as in CoreDNS: there are clients that distrust an answer without.
  constexpr uint16_t kClients = flag::kRecursionDesired | flag::kCheckingDisabled;
  reply.flags = static_cast<uint16_t>(flag::kResponse | flag::kAuthoritative |
                                      (query.flags & kClients) | (entry.flags & kKeptFlags));
  const size_t bytes =
      upstream::WriteForClient(reply, query, exchange.room(), exchange.max_reply_bytes());
  exchange.set_reply_bytes(bytes);
  if (!WantsAuthenticData(query)) ClearAuthenticData(exchange.reply());
  return true;
}

bool Cache::AnswerStale(Exchange& exchange, const CacheEntry& entry) {
  if (!Answer(exchange, entry, 0)) return false;
  counters_.served_stale.Add();
  hits_[static_cast<size_t>(entry.kind)].Add();
  const bool denied = entry.rcode() == static_cast<uint8_t>(wire::Rcode::kNxDomain);
  exchange.AddExtendedError(denied ? ExtendedError::kStaleNxDomain : ExtendedError::kStaleAnswer,
                            {});
  return true;
}

size_t Cache::LeastLabelsOfCut(const wire::Query& query) const {
  size_t least = 1;
  for (const wire::Zone& border : place_.borders) {
    if (border.Holds(query)) least = std::max<size_t>(least, border.labels);
  }
  return least;
}

bool Cache::AnswerBelowDenied(Exchange& exchange, CacheTime now) {
  const wire::Query& query = exchange.query();
  // Who validates wants proof of this very denial.
  if (!store_->has_cuts() || query.dnssec_ok) return false;
  const uint8_t modes = CacheQuestion::Of(query).modes;
  for (size_t labels = LeastLabelsOfCut(query); labels < query.labels; ++labels) {
    const CacheEntry* cut = store_->FindCut(SuffixOf(query, query.labels - labels), modes);
    if (cut == nullptr || SecondsLeft(*cut, now) <= 0) continue;
    std::array<uint8_t, CacheStore::kMaxMessageBytes> copy;
    store_->Copy(*cut, 0, copy);
    const size_t bytes =
        WriteDenialBelow(std::span(copy).first(cut->message_bytes), query,
                         static_cast<uint32_t>(SecondsLeft(*cut, now)),
                         flag::kAuthoritative | (cut->flags & flag::kRecursionAvailable),
                         exchange.room(), exchange.max_reply_bytes());
    if (bytes == 0) continue;
    exchange.set_reply_bytes(bytes);
    hits_[static_cast<size_t>(CacheKind::kDenial)].Add();
    counters_.below_denied.Add();
    return true;
  }
  return false;
}

Verdict Cache::WaitForRefresh(Exchange& exchange, CacheEntry& entry, CacheTime now) {
  const uint64_t question = CacheQuestion::Of(exchange.query()).Hash();
  const bool under_way = std::any_of(waiting_.begin(), waiting_.end(), [&](const Waiting& waiting) {
    return waiting.question == question;
  });
  const bool failed_lately = !under_way && now < entry.next_refresh;
  Suspended* client =
      failed_lately || waiting_.size() == kMaxWaiting ? nullptr : exchange.Suspend();
  if (client == nullptr) {
    return AnswerStale(exchange, entry) ? Verdict::kAnswered : Verdict::kNext;
  }
  waiting_.push_back({client, question, now + absl::ToChronoNanoseconds(config_.verify_timeout)});
  if (waiting_.size() == 1) timer_->Start(config_.verify_timeout);
  if (under_way) return Verdict::kPending;
  entry.next_refresh = now + kRefreshPause;
  if (client->exchange().AskInBackground()) {
    counters_.prefetched.Add();
  } else {
    EndAllWaitingFor(question);
  }
  return Verdict::kPending;
}

// With what is held now: the refreshed reply, or the stale one.
void Cache::EndWaiting(size_t place) {
  Suspended* client = waiting_[place].client;
  waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(place));
  Exchange& exchange = client->exchange();
  const CacheTime now = clock_();
  const CacheEntry* entry = store_->Find(CacheQuestion::Of(exchange.query()));
  if (entry == nullptr) return client->Pass();
  const int64_t left = SecondsLeft(*entry, now);
  const bool answered = left > 0 ? Answer(exchange, *entry, static_cast<uint32_t>(left))
                                 : AnswerStale(exchange, *entry);
  return answered ? client->Resume() : client->Pass();
}

void Cache::EndAllWaitingFor(uint64_t question) {
  // One by one: a client's end may begin another's wait.
  for (size_t i = 0; i < waiting_.size();) {
    if (waiting_[i].question != question) {
      ++i;
      continue;
    }
    EndWaiting(i);
    i = 0;
  }
}

void Cache::OnTimer() {
  const CacheTime now = clock_();
  while (!waiting_.empty() && waiting_.front().until <= now) EndWaiting(0);
  if (!waiting_.empty()) timer_->Start(absl::FromChrono(waiting_.front().until - now));
}

After Cache::OnReply(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  const bool ours = exchange.answered_at() == exchange.depth();
  if (ours || exchange.local() || !Covers(query)) return After::kReply;
  const CacheTime now = clock_();
  CacheableReply reply;
  if (!ReadForCache(exchange.reply(), query, reply)) {
    counters_.drops.Add();
  } else {
    const uint32_t ttl = TtlFor(reply);
    const bool stored = Store(exchange, reply, now, ttl);
    if (!stored) RemoveOutdated(exchange, reply, now);
    if (!exchange.in_background() && !ReplaceByStale(exchange, reply, now)) {
      SetTtls(exchange.reply(), ttl);
      if (!WantsAuthenticData(query)) ClearAuthenticData(exchange.reply());
      if (stored) AskAboutSuffix(exchange, reply, now, ttl);
    }
  }
  if (exchange.in_background()) EndAllWaitingFor(CacheQuestion::Of(query).Hash());
  return After::kReply;
}

uint32_t Cache::TtlFor(const CacheableReply& reply) const {
  if (reply.sort == ReplySort::kServerError) return config_.servfail_ttl;
  const bool denial = reply.sort == ReplySort::kNxDomain || reply.sort == ReplySort::kNoData;
  const CacheConfig::OfKind& kind = config_.kinds[denial ? 1 : 0];
  return std::min(std::max(reply.ttl, kind.min_ttl), kind.max_ttl);
}

bool Cache::Store(Exchange& exchange, const CacheableReply& reply, CacheTime now, uint32_t ttl) {
  const wire::Query& query = exchange.query();
  // What is asked without recursion is answered out of what the server happens to have.
  if (!exchange.answered_by_upstream() || !query.recursion_desired()) return false;
  if (reply.sort == ReplySort::kOther || reply.reply.truncated() || ttl == 0) return false;
  const CacheKind kind = KindOf(reply.sort);
  if (IsDisabled(kind, query)) return false;
  const size_t bytes = reply.reply.section_end[2];
  if (bytes > CacheStore::kMaxMessageBytes) {
    counters_.too_large.Add();
    return false;
  }
  const CacheQuestion question = CacheQuestion::Of(query);
  if (reply.sort == ReplySort::kServerError) {
    const CacheEntry* held = store_->Find(question);
    if (held != nullptr && !IsServfail(*held) && IsUsable(*held, now)) return false;
  }
  std::array<uint8_t, CacheStore::kMaxMessageBytes> copy;
  std::memcpy(copy.data(), reply.reply.message.data(), bytes);
  std::memcpy(copy.data() + wire::kHeaderBytes, query.name.data(), query.name_bytes);
  wire::Store16(&copy[10], reply.reply.counts[2]);
  CachedReply cached;
  cached.message = std::span(copy).first(bytes);
  for (size_t i = 0; i < reply.reply.counts.size(); ++i) {
    cached.section_end[i] = static_cast<uint16_t>(reply.reply.section_end[i]);
  }
  cached.counts = reply.reply.counts;
  cached.flags = reply.reply.flags;
  cached.ttl_at = std::span(reply.ttl_at).first(reply.ttls);
  cached.cuts = reply.cuts(query);
  store_->Put(question, kind, cached, now, ttl);
  return true;
}

// RFC 8767 4: what the upstream says, even if it cannot be stored, ends what is stale.
void Cache::RemoveOutdated(const Exchange& exchange, const CacheableReply& reply, CacheTime now) {
  if (!exchange.answered_by_upstream() || IsFailure(reply)) return;
  const CacheQuestion question = CacheQuestion::Of(exchange.query());
  const CacheEntry* held = store_->Find(question);
  if (held != nullptr && SecondsLeft(*held, now) <= 0) store_->Remove(question);
}

bool Cache::ReplaceByStale(Exchange& exchange, const CacheableReply& reply, CacheTime now) {
  if (!IsFailure(reply) || config_.stale == absl::ZeroDuration()) return false;
  const CacheEntry* held = store_->Find(CacheQuestion::Of(exchange.query()));
  return held != nullptr && IsUsable(*held, now) && AnswerStale(exchange, *held);
}

// A name below a search domain is denied: most likely a client completes every name it asks for
// (ndots). Whether the domain exists at all, or else the part of the name next to it (which stands
// for all public names with that ending), decides on the names to come.
void Cache::AskAboutSuffix(Exchange& exchange, const CacheableReply& reply, CacheTime now,
                           uint32_t ttl) {
  const wire::Query& query = exchange.query();
  if (!reply.cuts(query) || query.dnssec_ok) return;
  const auto domain = std::find_if(search_.begin(), search_.end(),
                                   [&](const wire::Zone& zone) { return zone.Holds(query); });
  if (domain == search_.end()) return;
  CacheQuestion question = CacheQuestion::Of(query);
  question.type = wire::type::kA;
  question.name = SuffixOf(query, query.labels - domain->labels);
  const CacheEntry* held = store_->Find(question);
  const bool exists = reply.soa_labels >= domain->labels ||
                      (held != nullptr && SecondsLeft(*held, now) > 0 && held->rcode() == 0);
  const size_t labels = domain->labels + (exists ? 1 : 0);
  if (labels >= query.labels) return;
  question.name = SuffixOf(query, query.labels - labels);
  const uint64_t hash = question.Hash();
  Asked& asked = asked_[hash % asked_.size()];
  if (asked.question == hash && now < asked.until) return;
  asked = {hash, now + std::chrono::seconds(ttl)};
  if (exchange.AskInBackground(question.name, question.type)) counters_.suffixes_asked.Add();
}

void Cache::CollectMetrics(MetricFamilies& families) const {
  const std::string& server = place_.server;
  for (const CacheKind kind : {CacheKind::kSuccess, CacheKind::kDenial}) {
    const size_t i = static_cast<size_t>(kind);
    const Labels labels = {
        {"server", server}, {"type", kKindNames[i]}, {"zones", zones_label_}, {"view", ""}};
    AddGaugeSample(families, "coredns_cache_entries", "The number of elements in the cache.",
                   labels, static_cast<double>(store_->entries(kind)));
    AddCounterSample(families, "coredns_cache_hits_total", "The count of cache hits.", labels,
                     static_cast<double>(hits_[i].value()));
    AddCounterSample(families, "coredns_cache_evictions_total", "The count of cache evictions.",
                     labels, static_cast<double>(store_->evictions(kind)));
  }
  auto add = [&](std::string_view name, std::string_view help, const Counter& counter) {
    AddCounterSample(families, name, help,
                     {{"server", server}, {"zones", zones_label_}, {"view", ""}},
                     static_cast<double>(counter.value()));
  };
  add("coredns_cache_requests_total", "The count of cache requests.", counters_.requests);
  add("coredns_cache_misses_total", "The count of cache misses.", counters_.misses);
  add("coredns_cache_prefetch_total", "The number of times a cached reply was refreshed.",
      counters_.prefetched);
  add("coredns_cache_drops_total", "Replies that were not cached because they were malformed.",
      counters_.drops);
  add("coredns_cache_served_stale_total", "Questions answered with a stale reply.",
      counters_.served_stale);
  add("portolan_cache_below_nxdomain_total",
      "Questions answered because a name above the one asked does not exist (RFC 8020).",
      counters_.below_denied);
  add("portolan_cache_suffix_questions_total",
      "Questions in the background for the part of a completed name that decides on others.",
      counters_.suffixes_asked);
  add("portolan_cache_too_large_total", "Replies that were too large to be cached.",
      counters_.too_large);
}

}  // namespace portolan::dns
