#include "policy/policy_compiler.h"

#include <utility>

namespace portolan {

PolicyCompiler::PolicyCompiler(size_t most_merged_ranges)
    : room_(std::make_shared<AllowedPortsMaker::Room>()) {
  room_->most = most_merged_ranges;
  SetPolicies({}, {});
}

void PolicyCompiler::SetPolicies(std::vector<PolicyInput> policies,
                                 std::vector<IpAddress> always_allowed) {
  committed_ = nullptr;
  auto table =
      std::make_shared<const PolicyTable>(std::move(policies), std::move(always_allowed), room_);
  auto maker = std::make_unique<AllowedPortsMaker>(table->rules(), room_);
  peers_.SetPolicies(table.get(), maker.get());
  policies_ = std::move(table);
  maker_ = std::move(maker);
}

void PolicyCompiler::SetPeers(const std::string& set, const Peers& peers) {
  committed_ = nullptr;
  peers_.Set(set, peers);
}

void PolicyCompiler::ChangePeers(const std::string& set, const Peers& added, const Peers& removed) {
  committed_ = nullptr;
  peers_.Change(set, added, removed);
}

void PolicyCompiler::ForgetPeers(const std::string& set) {
  committed_ = nullptr;
  peers_.Forget(set);
}

std::shared_ptr<const EgressRules> PolicyCompiler::Commit() {
  if (committed_ == nullptr) {
    PeerMap peers = peers_.Commit();
    committed_ = std::make_shared<const EgressRules>(policies_, std::move(peers), peers_.size());
  }
  return committed_;
}

}  // namespace portolan
