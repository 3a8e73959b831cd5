#include "proxy/policy/denial_log.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "common/log.h"
#include "dns/wire/name.h"

namespace portolan::proxy {
namespace {

constexpr size_t kMostPoliciesTold = 8;

std::string Subject(const Denial& denial) {
  switch (denial.what) {
    case Denied::kName:
      return fmt::format("the name {} to {}", dns::wire::NameToText(denial.name.view()),
                         denial.client.ip.ToString());
    case Denied::kDns:
      return fmt::format("DNS (the name {}) to {}", dns::wire::NameToText(denial.name.view()),
                         denial.client.ip.ToString());
    case Denied::kInbound:
      return fmt::format("TCP inbound {} -> {}", denial.client.ToString(),
                         denial.dialled.ToString());
    case Denied::kConnection:
    case Denied::kFlow:
    case Denied::kServerName:
      break;
  }
  std::string to(denial.service.view());
  if (denial.endpoint.has_value()) {
    to += fmt::format("{}endpoint {}", to.empty() ? "" : ", ", denial.endpoint->ToString());
  }
  return fmt::format("{} {} -> {}{}{}", denial.what == Denied::kFlow ? "UDP" : "TCP",
                     denial.client.ToString(), denial.dialled.ToString(),
                     to.empty() ? "" : fmt::format(" ({})", to),
                     denial.greeting.has_value() ? " with " + InWords(*denial.greeting) : "");
}

}  // namespace

bool DenialLog::Takes(absl::Duration now) {
  if (sample_ == 0) return false;
  if (seen_.fetch_add(1, std::memory_order_relaxed) % sample_ != 0) return false;
  const auto second = static_cast<uint64_t>(absl::ToInt64Seconds(now));
  uint64_t told = told_.load(std::memory_order_relaxed);
  uint64_t count;
  do {
    count = told >> 8 == second ? told & 0xff : 0;
    if (count == kMostPerSecond) return false;
  } while (
      !told_.compare_exchange_weak(told, second << 8 | (count + 1), std::memory_order_relaxed));
  return true;
}

void DenialLog::Write(Denial denial) {
  main_.Post([denial = std::move(denial)] { log::warn("{}", DenialLine(denial)); });
}

std::string DenialLine(const Denial& denial) {
  const std::string_view did = denial.mode == PolicyMode::kAudit ? "would have denied" : "denied";
  if (denial.rules == nullptr) {
    return fmt::format("{} {}: no policy is known yet (--on-no-policy)", did, Subject(denial));
  }
  const std::vector<std::string>& policies = PoliciesOf(denial);
  const size_t told = std::min(policies.size(), kMostPoliciesTold);
  std::string line = fmt::format("policy {} {}: isolated by {}", did, Subject(denial),
                                 fmt::join(std::span(policies).first(told), ", "));
  if (policies.size() > told) line += fmt::format(" and {} more", policies.size() - told);
  const std::string nearest = NearestRule(denial);
  if (!nearest.empty()) line += fmt::format("; {}", nearest);
  return line;
}

}  // namespace portolan::proxy
