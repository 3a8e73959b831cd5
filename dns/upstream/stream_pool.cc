#include "dns/upstream/stream_pool.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace portolan::dns::upstream {
namespace {

constexpr std::chrono::minutes kLogEvery{1};

}  // namespace

StreamPool::StreamPool(Context& context, const SocketAddress& address, const StreamLimits& limits,
                       std::shared_ptr<const TlsTrust> trust, std::string tls_name)
    : context_(context),
      address_(address),
      limits_(limits),
      trust_(std::move(trust)),
      tls_name_(std::move(tls_name)) {
  connections_.reserve(kMaxConnections);
}

Started StreamPool::Find(Connection*& connection) {
  const auto now = Clock::now();
  const auto found = std::find_if(connections_.begin(), connections_.end(), [&](const auto& one) {
    return one->HasRoom() && !one->Stalled(now);
  });
  if (found == connections_.end()) return Open(connection);
  hits_.Add();
  connection = found->get();
  return Started::kYes;
}

Started StreamPool::Open(Connection*& connection) {
  if (connections_.size() == kMaxConnections) {
    const auto spare = std::find_if(connections_.begin(), connections_.end(),
                                    [](const auto& one) { return !one->wanted(); });
    if (spare == connections_.end()) {
      context_.too_many_sockets.Add();
      return Started::kNoSocket;
    }
    connections_.erase(spare);
  }
  auto opened = std::make_unique<Connection>(context_, *this);
  const Started started = opened->Open();
  if (started != Started::kYes) return started;
  misses_.Add();
  connection = connections_.emplace_back(std::move(opened)).get();
  return Started::kYes;
}

void StreamPool::OnIdle(Connection& connection) {
  const auto idle = std::count_if(connections_.begin(), connections_.end(),
                                  [](const auto& one) { return one->idle(); });
  const bool too_many = limits_.max_idle != 0 && static_cast<size_t>(idle) > limits_.max_idle;
  if (too_many || limits_.expire == absl::ZeroDuration()) Remove(connection);
}

void StreamPool::Remove(Connection& connection) { Take(connection).reset(); }

std::unique_ptr<Connection> StreamPool::Take(Connection& connection) {
  const auto at = std::find_if(connections_.begin(), connections_.end(),
                               [&](const auto& one) { return one.get() == &connection; });
  std::unique_ptr<Connection> taken = std::move(*at);
  connections_.erase(at);
  return taken;
}

void StreamPool::OnTlsError(TlsError error, const std::string& text) {
  context_.tls_errors[static_cast<size_t>(error)].Add();
  const auto now = Clock::now();
  if (now < next_log_) return;
  next_log_ = now + kLogEvery;
  log::warn("forward: tls://{}{}{} cannot be used: {}", address_.ToString(),
            tls_name_.empty() ? "" : "%", tls_name_, text);
}

void StreamPool::CollectMetrics(MetricFamilies& families) const {
  const std::string to = address_.ToString();
  const std::string_view proto = trust_ == nullptr ? "tcp" : "tcp-tls";
  AddCounterSample(families, "coredns_proxy_conn_cache_hits_total",
                   "Questions that went over a kept connection.",
                   {{"proxy_name", "forward"}, {"to", to}, {"proto", proto}},
                   static_cast<double>(hits_.value()));
  AddCounterSample(families, "coredns_proxy_conn_cache_misses_total",
                   "Questions that had a connection opened.",
                   {{"proxy_name", "forward"}, {"to", to}, {"proto", proto}},
                   static_cast<double>(misses_.value()));
  if (trust_ == nullptr) return;
  for (const auto& [kind, counter] : {std::pair("full", &handshakes_), {"resumed", &resumed_}}) {
    AddCounterSample(families, "portolan_upstream_tls_handshakes_total",
                     "TLS handshakes with an upstream that succeeded.",
                     {{"to", to}, {"kind", kind}}, static_cast<double>(counter->value()));
  }
}

}  // namespace portolan::dns::upstream
