#include "proxy/feed/control_round.h"

#include <algorithm>
#include <utility>

namespace portolan::proxy {
namespace {

std::string HostOf(std::string_view address) {
  std::string_view host = address.substr(0, address.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

}  // namespace

ControlRound::ControlRound(std::vector<std::string> flags, std::string server_name)
    : flags_(std::move(flags)), server_name_(std::move(server_name)) {}

void ControlRound::Add(ControlAddress one) {
  if (std::find(addresses_.begin(), addresses_.end(), one) == addresses_.end()) {
    addresses_.push_back(std::move(one));
  }
}

void ControlRound::Begin(const EndpointsOf& endpoints_of, std::minstd_rand& random) {
  const std::string tried_last = empty() ? std::string() : current().address;
  addresses_.clear();
  next_ = 0;
  for (const std::string& flag : flags_) {
    std::vector<std::string> endpoints = endpoints_of(flag);
    std::shuffle(endpoints.begin(), endpoints.end(), random);
    for (std::string& endpoint : endpoints) {
      Add({std::move(endpoint), server_name_.empty() ? HostOf(flag) : server_name_});
    }
  }
  for (const std::string& flag : flags_) Add({flag, server_name_});
  std::stable_partition(addresses_.begin(), addresses_.end(),
                        [&](const ControlAddress& one) { return one.address != tried_last; });
}

void ControlRound::Advance(How how, const EndpointsOf& endpoints_of, std::minstd_rand& random) {
  if (how == How::kAnew || next_ + 1 == addresses_.size()) return Begin(endpoints_of, random);
  ++next_;
}

}  // namespace portolan::proxy
