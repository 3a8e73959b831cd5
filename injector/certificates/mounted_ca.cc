#include "injector/certificates/mounted_ca.h"

#include <algorithm>
#include <utility>

#include "common/certificate.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"

namespace portolan::injector {
namespace {

constexpr size_t kMaxFileBytes = 1u << 20;

}  // namespace

MountedCa::MountedCa(EventLoop& loop, ApiClient* webhooks, const std::string& configuration,
                     const std::string& path, OnBundle on_bundle)
    : path_(path),
      on_bundle_(std::move(on_bundle)),
      timer_(loop.AddTimer([this] { Look(); })),
      file_(loop, path, kMaxFileBytes, [this](const std::string& pem) { Take(pem); }) {
  if (webhooks != nullptr) webhook_.emplace(*webhooks, configuration);
}

absl::Status MountedCa::Start() {
  status_ = InvalidArgument("{}: no certificate in PEM", path_);
  if (absl::Status read = file_.Start(); !read.ok()) return read;
  return status_;
}

void MountedCa::Take(const std::string& pem) {
  const auto certificates = Certificate::ReadAll(pem);
  if (!certificates.ok()) {
    status_ = InvalidArgument("{}: {}", path_, Message(certificates.status()));
    if (!bundle_.empty()) log::error("{}; the CAs before it stay in force", Message(status_));
    return;
  }
  status_ = absl::OkStatus();
  bundle_ = pem;
  on_bundle_(bundle_);
  LookSoon();
}

void MountedCa::LookSoon() {
  if (!webhook_.has_value() || looking_) return;
  timer_.Start(std::max(absl::ZeroDuration(), looked_at_ + kBetweenLooks - Monotonic()));
}

void MountedCa::Look() {
  looking_ = true;
  looked_at_ = Monotonic();
  webhook_->Keep(bundle_, [this](const absl::StatusOr<std::vector<WebhookBundle>>& webhooks) {
    looking_ = false;
    std::string fault(Message(webhooks.status()));
    if (!fault.empty() && fault != fault_) log::warn("{}; trying again", fault);
    fault_ = std::move(fault);
    timer_.Start(kLookEvery);
  });
}

void MountedCa::AddMetrics(MetricFamilies& families) const {
  if (webhook_.has_value()) webhook_->AddMetrics(families);
}

}  // namespace portolan::injector
