#include "dns/plugins/loadbalance.h"

#include <algorithm>
#include <random>

#include "dns/wire/message.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

bool IsAddress(const wire::MessageRecord& record) {
  return (record.type == wire::type::kA && record.rdata_bytes == 4) ||
         (record.type == wire::type::kAaaa && record.rdata_bytes == 16);
}

bool SameOwner(std::span<const uint8_t> message, size_t a, size_t b) {
  if (message[a] >= 0xc0 && message[a] == message[b] && message[a + 1] == message[b + 1]) {
    return true;
  }
  wire::NameBuffer first, second;
  if (wire::ReadName(message, a, first) == 0 || wire::ReadName(message, b, second) == 0) {
    return false;
  }
  wire::LowerName(std::span(first.bytes).first(first.size));
  wire::LowerName(std::span(second.bytes).first(second.size));
  return std::ranges::equal(first.view(), second.view());
}

}  // namespace

absl::Status ParseLoadbalance(const corefile::Directive& directive,
                              std::vector<std::string>* notes) {
  if (directive.arguments.empty()) return absl::OkStatus();
  const corefile::Token& policy = directive.arguments[0];
  if (policy.text == "weighted") {
    if (notes != nullptr) {
      notes->push_back(
          fmt::format("{}:{}:{}: loadbalance: 'weighted' is not yet active: round_robin is used",
                      *policy.file, policy.line, policy.column));
    }
    return absl::OkStatus();
  }
  if (policy.text != "round_robin") {
    return policy.Error(
        fmt::format("loadbalance '{}': known are round_robin and weighted", policy.text));
  }
  if (directive.arguments.size() > 1) {
    return directive.arguments[1].Error("loadbalance round_robin takes no further argument");
  }
  return absl::OkStatus();
}

absl::Status LoadLoadbalance(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = ParseLoadbalance(directive, context.notes());
  context.AddLink([](const PluginContext&) {
    std::random_device random;
    return std::make_unique<Loadbalance>(uint64_t{random()} << 32 | random());
  });
  return status;
}

// splitmix64, Sebastiano Vigna: one addition and three multiplications, good enough to spread load.
uint64_t Loadbalance::Random() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

After Loadbalance::OnReply(Exchange& exchange) {
  const std::span<uint8_t> reply = exchange.reply();
  wire::MessageReader reader(reply);
  if (reader.count(wire::Section::kAnswer) < 2) return After::kReply;
  // A run of records with one owner and type; RRsets stand together in answers.
  wire::MessageRecord first;
  size_t run = 0;
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section != wire::Section::kAnswer) break;
    const bool joins = run > 0 && run < kMaxRotated && record.type == first.type &&
                       IsAddress(record) && SameOwner(reply, first.owner_at, record.owner_at);
    if (!joins) {
      Rotate(reply, std::span(rdata_at_).first(run), first.rdata_bytes);
      run = 0;
      first = record;
      if (!IsAddress(record)) continue;
    }
    rdata_at_[run++] = static_cast<uint16_t>(record.rdata_at);
  }
  Rotate(reply, std::span(rdata_at_).first(run), first.rdata_bytes);
  return After::kReply;
}

// Moves RDATA, not records: owner, TTL and type are the same throughout an RRset. By three
// reversals, in place.
void Loadbalance::Rotate(std::span<uint8_t> reply, std::span<const uint16_t> rdata_at,
                         size_t rdata_bytes) {
  if (rdata_at.size() < 2) return;
  auto reverse = [&](size_t begin, size_t end) {
    for (; begin + 1 < end; ++begin) {
      --end;
      std::swap_ranges(reply.begin() + rdata_at[begin],
                       reply.begin() + static_cast<long>(rdata_at[begin] + rdata_bytes),
                       reply.begin() + rdata_at[end]);
    }
  };
  const size_t by = Random() % rdata_at.size();
  reverse(0, by);
  reverse(by, rdata_at.size());
  reverse(0, rdata_at.size());
}

}  // namespace portolan::dns
