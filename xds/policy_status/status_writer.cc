#include "xds/policy_status/status_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"

namespace portolan::xds {
namespace {

constexpr char kResource[] = "dnsegresspolicies.portolan.dev/status";

absl::Duration Between(absl::Duration min, absl::Duration max) {
  thread_local absl::InsecureBitGen random;
  return min + (max - min) * absl::Uniform(random, 0.0, 1.0);
}

std::string PathOf(const ObjectName& name) {
  return fmt::format(
      "/apis/portolan.dev/v1alpha1/namespaces/{}/dnsegresspolicies/{}/status"
      "?fieldManager=portolan-control",
      name.ns, name.name);
}

std::string_view OutcomeName(size_t outcome) {
  constexpr std::string_view kNames[] = {"written", "conflict", "forbidden", "gone", "failed"};
  return kNames[outcome];
}

}  // namespace

PolicyStatusWriter::PolicyStatusWriter(EventLoop& loop, ApiClient& client, Options options,
                                       CountAll count)
    : options_(options), count_(std::move(count)), timer_(loop.AddTimer([this] { Look(); })) {
  for (size_t i = 0; i < kMostWrites; ++i) writing_.push_back(std::make_unique<Writing>(client));
}

void PolicyStatusWriter::OnRead(const Field& object, const FieldErrors& errors) {
  WatchedPolicy policy = ReadWatchedPolicy(object, errors);
  std::string key = policy.name.ToString();
  policies_[std::move(key)].policy = std::move(policy);
  LookWithin(options_.min_delay, options_.max_delay);
}

void PolicyStatusWriter::OnGone(std::string_view key) {
  const auto found = policies_.find(key);
  if (found != policies_.end()) policies_.erase(found);
}

// One that is due sooner stays.
void PolicyStatusWriter::LookWithin(absl::Duration min, absl::Duration max) {
  if (due_ <= Monotonic() + max) return;
  const absl::Duration delay = Between(min, max);
  due_ = Monotonic() + delay;
  timer_.Start(delay);
}

void PolicyStatusWriter::Look() {
  due_ = absl::InfiniteDuration();
  if (policies_.empty()) return;
  LookWithin(options_.min_idle, options_.max_idle);
  if (counting_ || Monotonic() < paused_until_) return;
  counting_ = true;
  count_([weak = std::weak_ptr(self_)](const std::optional<EnforcementByPolicy>& counts) {
    if (const auto self = weak.lock()) (*self)->OnCounted(counts);
  });
}

void PolicyStatusWriter::OnCounted(const std::optional<EnforcementByPolicy>& counts) {
  counting_ = false;
  counts_ = counts;
  denials_ = 0;  // of one object, look after look, are not of the role
  QueueAll();
  for (const auto& writing : writing_) {
    if (writing->key.empty()) WriteNext(*writing);
  }
}

// Those first whose last write lies longest back, so that the ones that are always denied do not
// bring about each pause before the others had their turn.
void PolicyStatusWriter::QueueAll() {
  to_look_at_.clear();
  for (const auto& [key, held] : policies_) to_look_at_.push_back(key);
  std::sort(to_look_at_.begin(), to_look_at_.end(), [this](const auto& a, const auto& b) {
    return policies_.find(a)->second.not_before < policies_.find(b)->second.not_before;
  });
}

bool PolicyStatusWriter::IsBeingWritten(std::string_view key) const {
  return std::any_of(writing_.begin(), writing_.end(),
                     [&](const auto& writing) { return writing->key == key; });
}

// The next object whose status is not what it should be.
void PolicyStatusWriter::WriteNext(Writing& writing) {
  const absl::Duration now = Monotonic();
  if (now < paused_until_) to_look_at_.clear();
  for (; !to_look_at_.empty(); to_look_at_.pop_front()) {
    const auto found = policies_.find(to_look_at_.front());
    if (found == policies_.end()) continue;
    Held& held = found->second;
    const WatchedPolicy& policy = held.policy;
    if (now < held.not_before || held.refused_version == policy.resource_version) continue;
    if (IsBeingWritten(found->first)) continue;
    std::optional<Enforcement> enforcement;
    if (counts_.has_value()) {
      const auto counted = counts_->find("DNSEgressPolicy/" + found->first);
      enforcement = counted == counts_->end() ? Enforcement() : counted->second;
    }
    const PolicyStatus status = StatusOf(policy, enforcement, absl::Now());
    if (status == policy.status) continue;
    held.not_before = now + options_.between_writes;
    writing.key = found->first;
    to_look_at_.pop_front();
    return Write(writing, held, status);
  }
}

void PolicyStatusWriter::Write(Writing& writing, const Held& held, const PolicyStatus& status) {
  using nlohmann::json;
  ApiRequest request;
  request.method = "PATCH";
  request.target = PathOf(held.policy.name);
  request.content_type = "application/merge-patch+json";
  request.body =
      StatusPatch(held.policy, status).dump(-1, ' ', false, json::error_handler_t::replace);
  writing.call.Start(std::move(request), fmt::format("patch {} {}", kResource, writing.key),
                     [this, &writing, version = held.policy.resource_version](
                         const absl::StatusOr<std::string>& body) {
                       const auto found = policies_.find(writing.key);
                       const bool overtaken = absl::IsAborted(body.status());
                       if (overtaken && found != policies_.end()) {
                         found->second.refused_version = version;
                       }
                       OnAnswer(writing, body);
                     });
}

void PolicyStatusWriter::OnAnswer(Writing& writing, const absl::StatusOr<std::string>& body) {
  const absl::Status& status = body.status();
  const Outcome outcome = status.ok()                        ? kWritten
                          : absl::IsAborted(status)          ? kConflict
                          : absl::IsPermissionDenied(status) ? kForbidden
                          : absl::IsNotFound(status)         ? kGone
                                                             : kFailed;
  Count(outcome);
  if (outcome == kWritten) {
    logged_.reset();
    denials_ = 0;
  }
  if (outcome == kForbidden) OnDenied(writing.key);
  const bool is_news = (outcome == kForbidden || outcome == kFailed) && logged_ != outcome;
  if (is_news) {
    logged_ = outcome;
    log::warn("{}{}", Message(status),
              outcome == kForbidden ? "; tried again in a minute, as others that are denied" : "");
  }
  writing.key.clear();
  WriteNext(writing);
}

void PolicyStatusWriter::OnDenied(std::string_view key) {
  const absl::Duration until = Monotonic() + options_.denied_for;
  const auto found = policies_.find(key);
  if (found != policies_.end()) found->second.not_before = until;
  if (++denials_ < kDenialsUntilPause) return;
  denials_ = 0;
  paused_until_ = until;
}

void PolicyStatusWriter::AddMetrics(MetricFamilies& families) const {
  for (size_t i = 0; i < kOutcomes; ++i) {
    AddCounterSample(families, "portolan_policy_status_writes_total",
                     "Writes to the status of DNSEgressPolicies.",
                     {{"outcome", std::string(OutcomeName(i))}},
                     static_cast<double>(outcomes_[i].value()));
  }
}

}  // namespace portolan::xds
