#include "dns/server/exchange_slot.h"

#include <cstring>

#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

// `part` of `from`, at the same place in `to`.
std::span<const uint8_t> Moved(std::span<const uint8_t> part, std::span<const uint8_t> from,
                               std::span<const uint8_t> to) {
  if (part.empty()) return {};
  return to.subspan(static_cast<size_t>(part.data() - from.data()), part.size());
}

// A client's query with the question it asks, which may be another than in its message.
constexpr size_t kQueryRoom = kSuspendedQueryBytes + wire::kMaxNameBytes + 4;

bool IsWithin(std::span<const uint8_t> part, std::span<const uint8_t> whole) {
  return part.data() >= whole.data() && part.data() < whole.data() + whole.size();
}

}  // namespace

ExchangeSlot::ExchangeSlot(SlotPool& pool, bool large) : pool_(pool), large_(large) {
  const size_t room = large ? wire::kMaxMessageBytes : kMaxUdpReplyBytes;
  memory_ = std::make_unique_for_overwrite<uint8_t[]>(kQueryRoom + room);
  query_bytes_ = {memory_.get(), kQueryRoom};
  room_ = {memory_.get() + kQueryRoom, room};
}

void ExchangeSlot::Bind(const Exchange& from, const ReplyTo& to,
                        std::shared_ptr<const Routes> routes, const RoutePath& path) {
  const Questions* others = from.questions_;
  query_ = others == nullptr || others->size() == 0 ? from.query() : others->first();
  const std::span<const uint8_t> message = query_.message;
  std::memcpy(query_bytes_.data(), message.data(), message.size());
  query_.message = query_bytes_.first(message.size());
  if (IsWithin(query_.question, message)) {
    query_.question = Moved(query_.question, message, query_.message);
  } else {
    const auto behind = query_bytes_.subspan(message.size(), query_.question.size());
    std::memcpy(behind.data(), query_.question.data(), behind.size());
    query_.question = behind;
  }
  query_.edns_options = Moved(query_.edns_options, message, query_.message);

  size_t aside = 0;
  exchange_.emplace(from);
  exchange_->questions_ = &questions_;
  exchange_->query_ = &query_;
  if (others != nullptr) {
    exchange_->query_ = questions_.CopyFrom(*others, query_);
    aside = questions_.aside_bytes();
    std::memcpy(room_.data(), from.room_.data() - aside, aside);
  }
  exchange_->room_ = room_.subspan(aside);
  exchange_->pool_ = this;
  to_ = to;
  routes_ = std::move(routes);
  path_ = path;
}

void ExchangeSlot::BindInBackground(const Exchange& from, std::shared_ptr<const Routes> routes,
                                    const RoutePath& path) {
  // Of the question that is asked now, whatever it stands for.
  Bind(Exchange(from.query(), from.client(), Transport::kUdp, room_, *this), {}, std::move(routes),
       {path.route, nullptr});
  exchange_->set_max_reply_bytes(room_.size());
  exchange_->set_upstream_payload(from.upstream_payload());
  exchange_->set_depth(from.depth());
  exchange_->floor_ = from.depth() - 1;
  exchange_->in_background_ = true;
}

void ExchangeSlot::Retry() {
  exchange_->set_depth(exchange_->depth() - 1);
  Continue(Verdict::kNext);
}

void ExchangeSlot::Continue(Verdict said) {
  // A link may end the wait before it returns, and what it is part of must outlive its return.
  const std::shared_ptr<const Routes> routes = routes_;
  const Verdict verdict = Walk(*routes, path_, *exchange_, said);
  if (verdict != Verdict::kPending) Finish(verdict);
}

void ExchangeSlot::Finish(Verdict verdict) {
  if (to_.sink == nullptr) {
    --pool_.in_background_;
  } else if (verdict == Verdict::kAnswered) {
    routes_->Tell(*path_.route, *exchange_);
    path_.route->counters->ObserveDuration(Exchange::Time::clock::now() - exchange_->received());
    to_.sink->SendReply(to_, exchange_->client(), exchange_->reply());
  } else if (verdict == Verdict::kStream) {
    to_.sink->SendStream(to_, exchange_->stream());
  } else {
    to_.sink->Forget(to_);
  }
  Release();
}

void ExchangeSlot::Release() {
  exchange_.reset();
  questions_.Clear();
  (large_ ? pool_.large_ : pool_.small_).free.push_back(this);
  // May be the last use of an earlier configuration, whose plugins then end.
  std::shared_ptr<const Routes> routes = std::move(routes_);
}

bool ExchangeSlot::AskInBackground(const Exchange& from, std::span<const uint8_t> name,
                                   uint16_t type) {
  return pool_.AskInBackground(from, name, type, routes_, path_);
}

SlotPool::SlotPool(size_t small, size_t large) {
  small_.max = small;
  large_.max = large;
  for (Slots* slots : {&small_, &large_}) {
    slots->all.reserve(slots->max);
    slots->free.reserve(slots->max);
  }
}

void SlotPool::ReleaseChains() {
  // Only once all are collected: the end of a chain may free slots.
  std::vector<std::shared_ptr<const Routes>> last;
  for (Slots* slots : {&small_, &large_}) {
    for (auto& slot : slots->all) last.push_back(std::move(slot->routes_));
  }
}

ExchangeSlot* SlotPool::Take(Slots& slots, const Exchange& exchange) {
  if (exchange.query().message.size() > kSuspendedQueryBytes) return nullptr;
  if (slots.free.empty()) {
    if (slots.all.size() == slots.max) return nullptr;
    const bool large = &slots == &large_;
    return slots.all.emplace_back(std::make_unique<ExchangeSlot>(*this, large)).get();
  }
  ExchangeSlot* slot = slots.free.back();
  slots.free.pop_back();
  return slot;
}

Suspended* SlotPool::Suspend(const Exchange& exchange, const ReplyTo& to,
                             const std::shared_ptr<const Routes>& routes, const RoutePath& path) {
  const bool large = exchange.transport() == Transport::kTcp;
  ExchangeSlot* slot = Take(large ? large_ : small_, exchange);
  if (slot == nullptr) {
    full_.Add();
    return nullptr;
  }
  slot->Bind(exchange, to, routes, path);
  return slot;
}

bool SlotPool::AskInBackground(const Exchange& from, std::span<const uint8_t> name, uint16_t type,
                               const std::shared_ptr<const Routes>& routes, const RoutePath& path) {
  ExchangeSlot* slot = in_background_ < small_.max / 8 ? Take(small_, from) : nullptr;
  if (slot == nullptr) {
    background_refused_.Add();
    return false;
  }
  slot->BindInBackground(from, routes, path);
  if (!name.empty()) slot->exchange_->AskInstead(name, type, 0);
  ++in_background_;
  background_.Add();
  slot->Continue(Verdict::kNext);
  return true;
}

void SlotPool::CollectMetrics(MetricFamilies& families) const {
  AddCounterSample(families, "portolan_dns_no_slot_total",
                   "Queries that could not wait for an upstream because all slots were taken.", {},
                   static_cast<double>(full_.value()));
  constexpr std::string_view kName = "portolan_dns_background_queries_total";
  constexpr std::string_view kHelp = "Questions asked without a client, to refresh what is cached.";
  AddCounterSample(families, kName, kHelp, {{"outcome", "asked"}},
                   static_cast<double>(background_.value()));
  AddCounterSample(families, kName, kHelp, {{"outcome", "no_slot"}},
                   static_cast<double>(background_refused_.value()));
}

}  // namespace portolan::dns
