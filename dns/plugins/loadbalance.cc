#include "dns/plugins/loadbalance.h"

#include <algorithm>
#include <random>

#include "common/files.h"
#include "dns/plugins/arguments.h"
#include "dns/wire/bytes.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr size_t kMaxWeightFileBytes = 1 << 20;
constexpr size_t kMaxPreferred = 1000;

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

absl::Status ReadPolicy(const Directive& directive, LoadbalanceConfig& config) {
  static constexpr std::array<std::string_view, 2> kPolicies = {"round_robin", "weighted"};
  if (directive.arguments.empty()) return absl::OkStatus();
  const Token& policy = directive.arguments[0];
  const bool weighted = policy.text == "weighted";
  if (!weighted && policy.text != "round_robin") {
    return UnknownWord(policy, "loadbalance", kPolicies);
  }
  if (weighted && directive.arguments.size() == 1) return policy.Error("weighted needs a file");
  if (weighted) config.file = directive.arguments[1].text;
  return CheckArguments(directive, 1, weighted ? 2 : 1);
}

// One that cannot be read but is followed may come yet, as in CoreDNS.
absl::Status ReadWeights(const Token& file, std::vector<std::string>* notes,
                         LoadbalanceConfig& config) {
  auto text = ReadFile(file.text, kMaxWeightFileBytes);
  if (!text.ok()) {
    const std::string_view why = Message(text.status());
    if (config.reload == absl::ZeroDuration()) return file.Error(why);
    AddNote(notes, file, "loadbalance",
            fmt::format("all weights are 1 until it is there: {}", why));
  }
  auto weights = Weights::Parse(text.ok() ? *text : "", file.text);
  if (!weights.ok()) return file.Error(Message(weights.status()));
  config.weights = std::make_shared<const Weights>(*std::move(weights));
  return absl::OkStatus();
}

absl::Status ReadOption(const Directive& line, std::vector<std::string>* notes,
                        LoadbalanceConfig& config) {
  static constexpr std::array<std::string_view, 2> kOptions = {"reload", "prefer"};
  const bool reload = line.name.text == "reload";
  if (!reload && line.name.text != "prefer") return UnknownOption(line, "loadbalance", kOptions);
  absl::Status status = CheckArguments(line, 1, reload ? 1 : kMaxPreferred);
  if (!status.ok()) return status;
  if (reload) {
    if (config.file.empty()) {
      AddNote(notes, line.name, "loadbalance", "without weighted there is no file to follow");
    }
    auto interval = ParseDuration(line.arguments[0]);
    if (interval.ok()) config.reload = *interval;
    return interval.status();
  }
  for (const Token& token : line.arguments) {
    auto cidr = Cidr::Parse(token.text);
    if (!cidr.ok()) return token.Error(Message(cidr.status()));
    config.prefer.push_back(*cidr);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LoadbalanceConfig> ParseLoadbalance(const Directive& directive,
                                                   std::vector<std::string>* notes) {
  LoadbalanceConfig config;
  absl::Status status = ReadPolicy(directive, config);
  if (!status.ok()) return status;
  for (const Directive& line : directive.block) {
    status = ReadOption(line, notes, config);
    if (!status.ok()) return status;
  }
  if (!config.file.empty()) status = ReadWeights(directive.arguments[1], notes, config);
  if (!status.ok()) return status;
  return config;
}

absl::Status LoadLoadbalance(const Directive& directive, LoadContext& context) {
  // Before it is read, so that no change is missed.
  const auto& arguments = directive.arguments;
  const auto stamp = arguments.empty() ? std::nullopt : FileStamp::Of(arguments.back().text);
  auto config = ParseLoadbalance(directive, context.notes());
  if (!config.ok()) return config.status();
  if (!config->file.empty()) context.followed().Follow(config->file, config->reload, stamp);
  context.AddLink([config = *std::move(config)](const PluginContext&) {
    std::random_device random;
    return std::make_unique<Loadbalance>(uint64_t{random()} << 32 | random(), config);
  });
  return absl::OkStatus();
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
  // Most replies have nothing to rotate, and are not read for it.
  if (reply.size() < wire::kHeaderBytes || wire::Load16(&reply[6]) < 2) return After::kReply;
  if (OrderPlain(reply)) return After::kReply;
  wire::MessageReader reader(reply);
  // A run of records with one owner and type; RRsets stand together in answers.
  wire::MessageRecord first;
  size_t run = 0;
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section != wire::Section::kAnswer) break;
    const bool joins = run > 0 && run < kMaxRecords && record.type == first.type &&
                       IsAddress(record) && SameOwner(reply, first.owner_at, record.owner_at);
    if (!joins) {
      Order({reply, std::span(rdata_at_).first(run), first.rdata_bytes}, first);
      run = 0;
      first = record;
      if (!IsAddress(record)) continue;
    }
    rdata_at_[run++] = static_cast<uint16_t>(record.rdata_at);
  }
  Order({reply, std::span(rdata_at_).first(run), first.rdata_bytes}, first);
  return After::kReply;
}

// What our own answers are: addresses of the name that was asked and nothing else, so that each
// record stands as far from the next. Their shape is looked at, which costs less than reading them.
bool Loadbalance::OrderPlain(std::span<uint8_t> reply) {
  constexpr uint16_t kQuestionOwner = 0xc000 | wire::kHeaderBytes;
  constexpr size_t kFixedBytes = 12, kTypeAndClassBytes = 4;
  size_t at = wire::kHeaderBytes;
  while (at < reply.size() && reply[at] != 0) {
    if (reply[at] > wire::kMaxLabelBytes) return false;
    at += 1 + size_t{reply[at]};
  }
  at += 1 + kTypeAndClassBytes;
  if (wire::Load16(&reply[4]) != 1 || at + kFixedBytes > reply.size()) return false;
  wire::MessageRecord first;
  first.owner_at = at;
  first.type = wire::Load16(&reply[at + 2]);
  if (first.type != wire::type::kA && first.type != wire::type::kAaaa) return false;
  first.rdata_bytes = first.type == wire::type::kA ? 4 : 16;
  const size_t count = wire::Load16(&reply[6]), stride = kFixedBytes + first.rdata_bytes;
  if (count > (reply.size() - at) / stride) return false;
  for (size_t i = 0; i < count; ++i, at += stride) {
    if (wire::Load16(&reply[at]) != kQuestionOwner || wire::Load16(&reply[at + 2]) != first.type ||
        wire::Load16(&reply[at + 10]) != first.rdata_bytes) {
      return false;
    }
    rdata_at_[i] = static_cast<uint16_t>(at + kFixedBytes);
  }
  Order({reply, std::span(rdata_at_).first(count), first.rdata_bytes}, first);
  return true;
}

void Loadbalance::Order(const Run& run, const wire::MessageRecord& first) {
  if (run.rdata_at.size() < 2) return;
  if (config_.weights == nullptr) {
    Shuffle(run);
  } else {
    wire::NameBuffer owner;
    static const Weights::OfName kNone;
    const Weights::OfName* weights = nullptr;
    if (wire::ReadName(run.reply, first.owner_at, owner) != 0) {
      wire::LowerName(std::span(owner.bytes).first(owner.size));
      weights =
          config_.weights->Find({reinterpret_cast<const char*>(owner.bytes.data()), owner.size});
    }
    PutOneFirst(run, weights == nullptr ? kNone : *weights);
  }
  if (!config_.prefer.empty()) PutPreferredFirst(run);
}

// Fisher and Yates.
void Loadbalance::Shuffle(const Run& run) {
  for (size_t left = run.rdata_at.size(); left > 1; --left) run.Swap(left - 1, Pick(left));
}

void Loadbalance::PutOneFirst(const Run& run, const Weights::OfName& weights) {
  size_t sum = 0;
  for (size_t i = 0; i < run.rdata_at.size(); ++i) sum += Weights::Of(weights, run.Address(i));
  size_t at = Pick(sum);
  for (size_t i = 0; i < run.rdata_at.size(); ++i) {
    const size_t weight = Weights::Of(weights, run.Address(i));
    if (at < weight) return run.Swap(0, i);
    at -= weight;
  }
}

void Loadbalance::PutPreferredFirst(const Run& run) const {
  size_t placed = 0;
  for (const Cidr& preferred : config_.prefer) {
    for (size_t i = placed; i < run.rdata_at.size(); ++i) {
      if (preferred.Contains(run.Address(i))) run.Swap(placed++, i);
    }
  }
}

IpAddress Loadbalance::Run::Address(size_t i) const {
  const uint8_t* at = &reply[rdata_at[i]];
  return rdata_bytes == 4 ? IpAddress::V4(std::span<const uint8_t, 4>(at, 4))
                          : IpAddress::V6(std::span<const uint8_t, 16>(at, 16));
}

void Loadbalance::Run::Swap(size_t a, size_t b) const {
  if (a == b) return;
  uint8_t* first = &reply[rdata_at[a]];
  std::swap_ranges(first, first + rdata_bytes, &reply[rdata_at[b]]);
}

}  // namespace portolan::dns
