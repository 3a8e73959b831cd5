#include "dns/server/exchange_slot.h"

#include <cstring>

#include "dns/server/alias.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

// `part` of `from`, at the same place in `to`.
std::span<const uint8_t> Moved(std::span<const uint8_t> part, std::span<const uint8_t> from,
                               std::span<const uint8_t> to) {
  if (part.empty()) return {};
  return to.subspan(static_cast<size_t>(part.data() - from.data()), part.size());
}

}  // namespace

void ExchangeSlot::Bind(const Exchange& from, const ReplyTo& to,
                        std::shared_ptr<const Routes> routes, const RoutePath& path) {
  query_ = from.query();
  const std::span<const uint8_t> message = from.query().message;
  std::memcpy(query_bytes_.data(), message.data(), message.size());
  query_.message = query_bytes_.first(message.size());
  const size_t aside = from.aside().bytes();
  if (aside == 0) {
    query_.question = Moved(query_.question, message, query_.message);
  } else {
    const std::span<const uint8_t> front = from.whole_room().first(aside);
    std::memcpy(room_.data(), front.data(), aside);
    query_.question = Moved(query_.question, front, room_);
  }
  query_.edns_options = Moved(query_.edns_options, message, query_.message);
  exchange_.emplace(from);
  exchange_->query_ = &query_;
  exchange_->room_ = room_.subspan(aside);
  to_ = to;
  routes_ = std::move(routes);
  path_ = path;
}

void ExchangeSlot::Resume() {
  const Route* route = path_.route;
  route->to.chain->Return(*exchange_);
  if (path_.aside != nullptr) {
    // The client's message parsed before, so it does again.
    const std::span<const uint8_t> message = query_.message;
    wire::ParseQuery(message, query_);
    EndAlias(*exchange_, query_);
    route = path_.aside;
    route->to.chain->Return(*exchange_);
  }
  const auto reply = exchange_->reply();
  const uint8_t rcode = reply.size() > 3 ? reply[3] & 15 : 2;
  ZoneCounters::CountResponse(*route->responses[exchange_->depth()], rcode);
  to_.sink->SendReply(to_, exchange_->client(), reply);
  Release();
}

void ExchangeSlot::Drop() {
  to_.sink->Forget(to_);
  Release();
}

void ExchangeSlot::Release() {
  exchange_.reset();
  (large_ ? pool_->free_large_ : pool_->free_small_).push_back(this);
  // May be the last use of an earlier configuration, whose plugins then end.
  std::shared_ptr<const Routes> routes = std::move(routes_);
}

SlotPool::SlotPool(size_t small, size_t large) {
  constexpr size_t kSmall = kSuspendedQueryBytes + kMaxUdpReplyBytes;
  constexpr size_t kLarge = kSuspendedQueryBytes + wire::kMaxMessageBytes;
  // Left as it is: pages that no query needs are never touched.
  memory_ = std::make_unique_for_overwrite<uint8_t[]>(small * kSmall + large * kLarge);
  uint8_t* at = memory_.get();
  auto add = [&](auto& slots, auto& free, size_t bytes, bool is_large) {
    auto& slot = slots.emplace_back(std::make_unique<ExchangeSlot>());
    slot->pool_ = this;
    slot->query_bytes_ = {at, kSuspendedQueryBytes};
    slot->room_ = {at + kSuspendedQueryBytes, bytes - kSuspendedQueryBytes};
    slot->large_ = is_large;
    free.push_back(slot.get());
    at += bytes;
  };
  free_small_.reserve(small);
  free_large_.reserve(large);
  for (size_t i = 0; i < small; ++i) add(small_, free_small_, kSmall, false);
  for (size_t i = 0; i < large; ++i) add(large_, free_large_, kLarge, true);
}

void SlotPool::ReleaseChains() {
  // Only once all are collected: the end of a chain may free slots.
  std::vector<std::shared_ptr<const Routes>> last;
  for (auto* slots : {&small_, &large_}) {
    for (auto& slot : *slots) last.push_back(std::move(slot->routes_));
  }
}

Suspended* SlotPool::Suspend(const Exchange& exchange, const ReplyTo& to,
                             const std::shared_ptr<const Routes>& routes, const RoutePath& path) {
  auto& free = exchange.max_reply_bytes() > kMaxUdpReplyBytes ? free_large_ : free_small_;
  if (free.empty() || exchange.query().message.size() > kSuspendedQueryBytes) {
    full_.Add();
    return nullptr;
  }
  ExchangeSlot* slot = free.back();
  free.pop_back();
  slot->Bind(exchange, to, routes, path);
  return slot;
}

}  // namespace portolan::dns
