// The questions that are asked in place of a client's: the target of an alias, another name or type
// that a link (`rewrite`, `autopath`, `dns64`) wants to know first.
//
// A stack, since one may lead to the next. Lives beside its Exchange, in the query handler or in a
// slot; what is not used costs nothing. The worker's thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "dns/wire/query.h"

namespace portolan::dns {

struct OtherQuestion {
  wire::Query query;
  std::array<uint8_t, wire::kMaxNameBytes + 4> bytes;  // its name, type and class, to be echoed
  // Its EDNS options, where they are others than those of the question before.
  static constexpr size_t kMaxOptionBytes = 256;
  std::array<uint8_t, kMaxOptionBytes> options;
  bool own_options = false;

  // What is asked again when this one is taken back.
  const wire::Query* before = nullptr;
  // Of the link that asks.
  size_t depth = 0;
  uint32_t note = 0;

  bool by_alias = false;
  // What the exchange was before the alias.
  size_t aside_bytes = 0;
  size_t max_reply_bytes = 0;
  size_t answered_at = 0;

  // `from` is the question of which this one is a variation: id, flags and EDNS are the client's.
  void Set(const wire::Query& from, std::span<const uint8_t> name, uint16_t type);
};

class Questions {
 public:
  // A name rewritten, completed, followed through an alias, and asked for its A records (dns64).
  static constexpr size_t kMax = 4;

  Questions() = default;
  Questions(const Questions&) = delete;
  Questions& operator=(const Questions&) = delete;

  size_t size() const { return size_; }
  OtherQuestion& top() { return *all_[size_ - 1]; }
  const OtherQuestion& top() const { return *all_[size_ - 1]; }
  // What the client asked. REQUIRES: size() > 0.
  const wire::Query& first() const { return *all_[0]->before; }
  // What stands aside at the front of the exchange's room.
  size_t aside_bytes() const;
  // REQUIRES: size() < kMax.
  OtherQuestion& Push() { return all_[size_++].emplace(); }
  void Pop() { all_[--size_].reset(); }
  void Clear() {
    while (size_ > 0) Pop();
  }

  // Becomes a copy of `from`, whose client asked what is now in `asked`. Returns what is asked now.
  const wire::Query* CopyFrom(const Questions& from, const wire::Query& asked);

 private:
  size_t size_ = 0;
  std::array<std::optional<OtherQuestion>, kMax> all_;
};

}  // namespace portolan::dns
