// Of the resources of all types: what is asked for on a new stream, and what is held.
#include <string>

#include "common/status.h"
#include "proxy/feed/feed.h"

namespace portolan::proxy {

void Feed::AddNames(size_t type, Request& request) const {
  const auto add = [&](const std::string& name) { request.add_resource_names_subscribe(name); };
  if (!types_[type].is_on_demand()) {
    add(std::string(types_[type].name));
  } else if (types_[type].is_policy()) {
    policy_->ForEachWanted(types_[type].type_url, add);
  } else if (type == kAddressIndex) {
    addresses_.ForEach([&](const IpAddress& ip) { add(ip.ToString()); });
  } else {
    endpoints_.ForEach(add);
  }
  auto& versions = *request.mutable_initial_resource_versions();
  ForEachHeld(type, [&](const std::string& name, const std::string& v) { versions[name] = v; });
}

void Feed::ForEachHeld(
    size_t type, absl::FunctionRef<void(const std::string&, const std::string&)> visit) const {
  if (types_[type].is_policy()) {
    policy_->ForEachHeld(types_[type].type_url, visit);
  } else if (type != kProxyConfigIndex) {
    replica_->ForEachHeld(types_[type].type_url, visit);
  } else if (proxy_config_) {
    visit(proxy_config_->name(), proxy_config_->version());
  }
}

uint64_t Feed::HeldCount(size_t type) const {
  if (type == kProxyConfigIndex) return proxy_config_ ? 1 : 0;
  if (types_[type].is_policy()) return policy_->held_count(types_[type].type_url);
  return replica_->held_count(types_[type].type_url);
}

absl::Status Feed::ListHeld(std::string_view type, api::ResourcePage& page) const {
  std::string known;
  for (size_t i = 0; i < types_.size(); ++i) {
    if (types_[i].label == type) {
      ForEachHeld(
          i, [&](const std::string& name, const std::string& version) { page.Add(name, version); });
      return absl::OkStatus();
    }
    known += fmt::format("{}{}", known.empty() ? "" : ", ", types_[i].label);
  }
  return InvalidArgument("type: '{}' is none of {}", type, known);
}

}  // namespace portolan::proxy
