#include "dns/server/explained_questions.h"

#include <utility>
#include <vector>

namespace portolan::dns {

void ExplainedQuestions::Ask(std::span<const uint8_t> message, const SocketAddress& client,
                             Done done) {
  auto trace = std::make_shared<Trace>();
  if (under_way_.size() == kMost) return done({}, *trace);
  const uint64_t id = ++last_id_;
  under_way_[id] = {trace, std::move(done), std::chrono::steady_clock::now()};
  std::vector<uint8_t> room(kMaxUdpReplyBytes);
  ReplyTo to;
  to.sink = this;
  to.connection = id;
  const QueryHandler::Handled handled = handler_.Explain(message, client, room, to, trace);
  switch (handled.outcome) {
    case QueryHandler::Outcome::kPending:
      return;
    case QueryHandler::Outcome::kReply:
      return End(id, std::span(room).first(handled.reply_bytes));
    case QueryHandler::Outcome::kStream:
    case QueryHandler::Outcome::kSilence:
      return End(id, {});
  }
}

void ExplainedQuestions::SendReply(const ReplyTo& to, const SocketAddress&,
                                   std::span<const uint8_t> reply) {
  End(to.connection, reply);
}

void ExplainedQuestions::Forget(const ReplyTo& to) { End(to.connection, {}); }

void ExplainedQuestions::End(uint64_t id, std::span<const uint8_t> reply) {
  const auto found = under_way_.find(id);
  if (found == under_way_.end()) return;
  const UnderWay ended = std::move(found->second);
  under_way_.erase(found);
  ended.trace->took_ms = Milliseconds(std::chrono::steady_clock::now() - ended.began);
  ended.done(reply, *ended.trace);
}

}  // namespace portolan::dns
