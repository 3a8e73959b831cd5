#include "proxy/conntrack.h"

#include <charconv>
#include <utility>

#include "common/files.h"
#include "common/log.h"
#include "common/monotonic.h"

namespace portolan::proxy {
namespace {

constexpr size_t kMaxBytes = 64;

}  // namespace

ConntrackWatch::ConntrackWatch(EventLoop& loop, std::string folder)
    : folder_(std::move(folder)), timer_(loop.AddTimer([this] { Look(Monotonic()); })) {
  Look(Monotonic());
}

bool ConntrackWatch::Look(absl::Duration now) {
  timer_.Start(kLookEvery);
  entries_ = Read("nf_conntrack_count");
  limit_ = Read("nf_conntrack_max");
  if (!NearlyFull() || (warned_.has_value() && now - *warned_ < kWarnEvery)) return false;
  warned_ = now;
  log::warn("{} of {} tracked connections are in use: when all are, the kernel drops packets",
            *entries_, *limit_);
  return true;
}

bool ConntrackWatch::NearlyFull() const {
  return entries_.has_value() && limit_.value_or(0) > 0 &&
         static_cast<double>(*entries_) > kNearlyFull * static_cast<double>(*limit_);
}

std::optional<uint64_t> ConntrackWatch::Read(const char* file) const {
  const auto text = ReadFile(folder_ + "/" + file, kMaxBytes);
  if (!text.ok()) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

void ConntrackWatch::CollectMetrics(MetricFamilies& families) const {
  if (!entries_.has_value() || !limit_.has_value()) return;
  AddGaugeSample(families, "portolan_conntrack_entries", "Tracked connections of the pod.", {},
                 static_cast<double>(*entries_));
  AddGaugeSample(families, "portolan_conntrack_limit", "How many can be tracked.", {},
                 static_cast<double>(*limit_));
  AddGaugeSample(families, "portolan_conntrack_nearly_full",
                 "1 while more than 80 % of the limit are tracked.", {}, NearlyFull() ? 1 : 0);
}

}  // namespace portolan::proxy
