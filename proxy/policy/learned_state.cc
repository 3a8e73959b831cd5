#include "proxy/policy/learned_state.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "dns/wire/name.h"
#include "portolan/v1/state.pb.h"
#include "proxy/feed/saved_state.h"

namespace portolan::proxy {
namespace {

using Entries = std::vector<LearnedAddresses::Entry>;

absl::StatusOr<IpAddress> ReadIp(std::string_view bytes) {
  const auto* at = reinterpret_cast<const uint8_t*>(bytes.data());
  if (bytes.size() == 4) return IpAddress::V4(std::span<const uint8_t, 4>(at, 4));
  if (bytes.size() == 16) return IpAddress::V6(std::span<const uint8_t, 16>(at, 16));
  return InvalidArgument("an address of {} bytes", bytes.size());
}

// Whatever the file says fits into the clocks.
absl::Duration Milliseconds(int64_t ms) {
  constexpr absl::Duration kMost = absl::Hours(24 * 366 * 70);  // a TTL is less
  return std::clamp(absl::Milliseconds(ms), -kMost, kMost);
}

absl::StatusOr<LearnedAddresses::Entry> ReadEntry(const v1::LearnedAddress& saved,
                                                  const BothClocks& now, absl::Duration passed,
                                                  absl::Duration grace) {
  auto ip = ReadIp(saved.ip());
  if (!ip.ok()) return ip.status();
  if (auto name = dns::wire::NameToWire(saved.name()); !name.ok()) return name.status();
  LearnedAddresses::Entry entry;
  entry.name = saved.name();
  entry.ip = *ip;
  entry.expires = now.monotonic + Milliseconds(saved.good_for_ms()) - passed;
  if (saved.in_use()) entry.expires = std::max(entry.expires, now.monotonic + grace);
  entry.last_used = now.monotonic - Milliseconds(saved.unused_for_ms()) - passed;
  return entry;
}

}  // namespace

BothClocks BothClocks::Now() { return {Monotonic(), absl::Now()}; }

std::string EncodeLearned(const Entries& entries, const BothClocks& at) {
  v1::LearnedState state;
  state.set_written_unix_ms(absl::ToUnixMillis(at.wall));
  for (const LearnedAddresses::Entry& entry : entries) {
    auto& saved = *state.add_addresses();
    saved.set_name(entry.name);
    saved.set_ip(entry.ip.bytes().data(), entry.ip.bytes().size());
    saved.set_good_for_ms(absl::ToInt64Milliseconds(entry.expires - at.monotonic));
    saved.set_unused_for_ms(absl::ToInt64Milliseconds(at.monotonic - entry.last_used));
    saved.set_in_use(entry.live > 0);
  }
  return SealState(state.SerializeAsString());
}

absl::StatusOr<Entries> DecodeLearned(std::string_view file, const BothClocks& now,
                                      absl::Duration grace) {
  if (file.size() > kMaxLearnedBytes) return InvalidArgument("too large");
  const auto body = UnsealState(file);
  if (!body.ok()) return body.status();
  v1::LearnedState state;
  if (!state.ParseFromArray(body->data(), static_cast<int>(body->size()))) {
    return InvalidArgument("the content cannot be read");
  }
  const absl::Duration passed = now.wall - absl::FromUnixMillis(state.written_unix_ms());
  Entries entries;
  entries.reserve(static_cast<size_t>(state.addresses_size()));
  for (const v1::LearnedAddress& saved : state.addresses()) {
    auto entry = ReadEntry(saved, now, std::max(passed, absl::ZeroDuration()), grace);
    if (!entry.ok()) return entry.status();
    entries.push_back(*std::move(entry));
  }
  return entries;
}

LearnedState::LearnedState(EventLoop& loop, std::string path, LearnedAddresses& learned)
    : loop_(loop),
      path_(std::move(path)),
      learned_(learned),
      timer_(loop.AddTimer([this] { OnTime(); })) {
  timer_.Start(kEvery);
  if (path_.empty()) return;
  Load();
  saved_additions_ = learned_.additions();
  saved_touches_ = learned_.touches();
}

LearnedState::~LearnedState() { Stop(); }

void LearnedState::Stop() {
  if (std::exchange(stopped_, true)) return;
  timer_.Cancel();
  SaveChanges(absl::ZeroDuration());
  if (writer_ != nullptr) writer_->Stop();
}

void LearnedState::Load() {
  const auto file = ReadFile(path_, kMaxLearnedBytes);
  if (absl::IsNotFound(file.status())) return;
  absl::Status status = file.status();
  if (status.ok()) {
    const BothClocks now = BothClocks::Now();
    const auto entries = DecodeLearned(*file, now, learned_.grace());
    if (entries.ok()) return learned_.Restore(*entries, now.monotonic);
    status = entries.status();
  }
  log::error("learned addresses {} not used: {}; {}", path_, Message(status), SetAside(path_));
}

void LearnedState::OnTime() {
  timer_.Start(kEvery);
  learned_.Expire(Monotonic());
  SaveChanges(kLazily);
}

void LearnedState::SaveChanges(absl::Duration lazily) {
  const bool added = learned_.additions() != saved_additions_;
  const bool touched = learned_.touches() != saved_touches_ && Monotonic() - saved_at_ >= lazily;
  if (path_.empty() || (!added && !touched)) return;
  if (writer_ == nullptr) {
    // As soon as it is told: that is once a second at most.
    writer_ = std::make_unique<StateWriter>(
        loop_, path_, absl::ZeroDuration(), [this] { return TakeImage(); },
        StateWriter::Counters{written_, failed_});
  }
  writer_->Changed();
}

StateWriter::Image LearnedState::TakeImage() {
  const BothClocks now = BothClocks::Now();
  saved_at_ = now.monotonic;
  // Before the list: what comes meanwhile is saved the next time.
  saved_additions_ = learned_.additions();
  saved_touches_ = learned_.touches();
  auto entries = std::make_shared<const Entries>(learned_.List(now.monotonic));
  return [entries = std::move(entries), now](const std::string& path) {
    ReplacingFile file(path);
    file.Append(EncodeLearned(*entries, now));
    return file.Commit();
  };
}

void LearnedState::Collect(MetricFamilies& families) const {
  constexpr std::string_view kName = "portolan_policy_learned_writes_total";
  constexpr std::string_view kHelp = "Times that the learned addresses were saved, by result.";
  AddCounterSample(families, kName, kHelp, {{"result", "ok"}},
                   static_cast<double>(written_.value()));
  AddCounterSample(families, kName, kHelp, {{"result", "failed"}},
                   static_cast<double>(failed_.value()));
}

}  // namespace portolan::proxy
