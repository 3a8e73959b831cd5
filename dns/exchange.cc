#include "dns/exchange.h"

#include <utility>

#include "dns/wire/bytes.h"
#include "dns/wire/name.h"

namespace portolan::dns {

void OtherQuestion::Set(const wire::Query& from, std::span<const uint8_t> name, uint16_t type) {
  if (&from != &query) query = from;
  std::copy(name.begin(), name.end(), bytes.begin());
  wire::Store16(&bytes[name.size()], type);
  wire::Store16(&bytes[name.size() + 2], wire::kClassIn);
  query.question = {bytes.data(), name.size() + 4};
  query.type = type;
  query.qclass = wire::kClassIn;
  wire::SetName(name, query);
}

const wire::Query* Questions::CopyFrom(const Questions& from, const wire::Query& asked) {
  Clear();
  const wire::Query* now = &asked;
  for (size_t i = 0; i < from.size_; ++i) {
    OtherQuestion& copy = all_[size_++].emplace(*from.all_[i]);
    copy.before = now;
    copy.query.message = asked.message;
    copy.query.edns_options = now->edns_options;
    if (copy.own_options) {
      copy.query.edns_options = {copy.options.data(), from.all_[i]->query.edns_options.size()};
    }
    copy.query.question = {copy.bytes.data(), copy.query.question.size()};
    now = &copy.query;
  }
  return now;
}

size_t Questions::aside_bytes() const {
  size_t bytes = 0;
  for (size_t i = 0; i < size_; ++i) bytes += all_[i]->aside_bytes;
  return bytes;
}

bool Exchange::AskInstead(std::span<const uint8_t> name, uint16_t type, uint32_t note) {
  if (questions_ == nullptr || questions_->size() == Questions::kMax) return false;
  OtherQuestion& other = questions_->Push();
  other.before = query_;
  other.depth = depth_;
  other.note = note;
  other.Set(*query_, name, type);
  query_ = &other.query;
  ForgetAnswer();
  return true;
}

void Exchange::SetInstead(std::span<const uint8_t> name, uint16_t type, uint32_t note) {
  OtherQuestion& other = questions_->top();
  other.note = note;
  other.Set(other.query, name, type);
  ForgetAnswer();
}

void Exchange::ForgetAnswer() {
  local_ = false;
  asked_ = nullptr;
  answered_by_upstream_ = false;
}

void Exchange::SetOptions(std::span<const uint8_t> options) {
  OtherQuestion& other = questions_->top();
  std::copy(options.begin(), options.end(), other.options.begin());
  other.own_options = true;
  other.query.edns = true;
  other.query.edns_options = {other.options.data(), options.size()};
}

void Exchange::TakeBack() {
  query_ = questions_->top().before;
  questions_->Pop();
}

void Exchange::AskWithFlags(uint16_t flags) {
  const auto question = query_->question;
  if (!AskInstead(question.first(question.size() - 4), query_->type, 0)) return;
  questions_->top().query.flags = flags;
}

bool Exchange::BeginAlias(std::span<const uint8_t> target) {
  const bool room = room_.size() >= reply_bytes_ + wire::kMinReplyRoom;
  if (!room || !AskInstead(target, query_->type, 0)) return false;
  OtherQuestion& other = questions_->top();
  other.by_alias = true;
  other.aside_bytes = reply_bytes_;
  other.max_reply_bytes = max_reply_bytes_;
  other.answered_at = answered_at_;
  room_ = room_.subspan(reply_bytes_);
  max_reply_bytes_ = room_.size();
  reply_bytes_ = depth_ = 0;
  return true;
}

std::span<const uint8_t> Exchange::aside() {
  while (!questions_->top().by_alias) TakeBack();
  const size_t bytes = questions_->top().aside_bytes;
  return {room_.data() - bytes, bytes};
}

void Exchange::EndAlias() {
  const OtherQuestion& other = questions_->top();
  room_ = {room_.data() - other.aside_bytes, room_.size() + other.aside_bytes};
  max_reply_bytes_ = other.max_reply_bytes;
  answered_at_ = depth_ = other.answered_at;
  reply_bytes_ = 0;
  local_ = true;
  completed_ = false;  // the target may have been
  TakeBack();
}

}  // namespace portolan::dns
