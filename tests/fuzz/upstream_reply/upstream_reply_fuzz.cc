// What an upstream sends: the input as a datagram, and as a stream cut into pieces, whose first
// byte says how long. Whatever is accepted is written for clients of all kinds, and must then be
// whole and no longer than they take.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dns/upstream/framing.h"
#include "dns/upstream/message.h"
#include "dns/wire/message.h"
#include "tests/dns/question.h"

namespace portolan::dns::upstream {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

struct Asked {
  explicit Asked(const test::QueryShape& shape)
      : message(test::MakeQuery("WWW.example.org", wire::type::kA, shape)) {
    Check(wire::ParseQuery(message, query) == wire::ParseOutcome::kQuery);
  }
  test::Bytes message;
  wire::Query query;
};

void CheckForClient(const Reply& reply, const wire::Query& query, size_t max_bytes) {
  // Of exactly its size, so that a byte too far is seen.
  const auto room = std::make_unique<uint8_t[]>(max_bytes);
  const size_t bytes = WriteForClient(reply, query, {room.get(), max_bytes}, max_bytes);
  Check(bytes >= wire::kHeaderBytes && bytes <= max_bytes);
  wire::MessageReader reader({room.get(), bytes});
  Check(reader.ok() && reader.id() == query.id);
  Check(std::ranges::equal(reader.question(), query.question));
  for (wire::MessageRecord record; reader.Next(record);) {
  }
  Check(reader.ok() && reader.position() == bytes);
}

void Read(std::span<const uint8_t> message) {
  static const Asked plain({});
  static const Asked edns({.edns_version = 0, .dnssec_ok = true});
  const uint16_t id = message.size() < 2 ? 0 : wire::Load16(message.data());
  for (const Spelling spelling : {Spelling::kAny, Spelling::kExact}) {
    Reply reply;
    if (ReadReply(message, id, plain.query.question, spelling, reply) != ReplyCheck::kOk) continue;
    for (const Asked* asked : {&plain, &edns}) {
      for (const size_t max_bytes : {size_t{512}, size_t{1232}, wire::kMaxMessageBytes}) {
        CheckForClient(reply, asked->query, max_bytes);
      }
    }
  }
}

void ReadStream(std::span<const uint8_t> stream) {
  if (stream.empty()) return;
  const size_t piece = size_t{1} + stream.front();
  stream = stream.subspan(1);
  Framing frames;
  while (!stream.empty() && !frames.broken()) {
    const auto room = frames.Room();
    const size_t n = std::min({piece, room.size(), stream.size()});
    std::copy_n(stream.begin(), n, room.begin());
    frames.Filled(n);
    stream = stream.subspan(n);
    for (std::span<const uint8_t> message; frames.Next(message);) Read(message);
  }
}

}  // namespace
}  // namespace portolan::dns::upstream

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy without slack behind it.
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy_n(data, size, exact.get());
  portolan::dns::upstream::Read({exact.get(), size});
  portolan::dns::upstream::ReadStream({exact.get(), size});
  return 0;
}
