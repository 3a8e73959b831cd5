// The feed's part in policy: what policy_replica.h holds is asked for, and told of.
#include <algorithm>
#include <utility>

#include "proxy/feed/feed.h"

namespace portolan::proxy {

PolicyReplica::Own Feed::OwnPolicy() const {
  return {options_.node_id, options_.always_allowed, options_.enforce_ingress};
}

absl::Status Feed::ApplyPolicy(const Response& response) {
  absl::Status applied = policy_->Apply(response);
  if (applied.ok()) StateChanged();
  return applied;
}

// What was refused may come again on this stream: it changed, or was asked for whole.
void Feed::TrackPolicy(size_t type) {
  const bool lacks = policy_->lacks_any(types_[type].type_url);
  if (std::exchange(progress_[type].lacking, lacks) == lacks) return;
  if (lacks) {
    refused_timer_.Start(options_.refused_retry);
  } else if (std::none_of(progress_.begin(), progress_.end(),
                          [](const Progress& progress) { return progress.lacking; })) {
    refused_timer_.Cancel();
  }
}

// Subscribes to what is led to by now, and unsubscribes from what no longer is.
void Feed::AskForPolicies() {
  for (const FeedType& type : types_) {
    if (!type.is_policy()) continue;
    const WantedNames::Asked asked = policy_->TakeAsked(type.type_url);
    if (asked.subscribe.empty() && asked.unsubscribe.empty()) continue;
    Request request;
    request.set_type_url(std::string(type.type_url));
    request.mutable_resource_names_subscribe()->Assign(asked.subscribe.begin(),
                                                       asked.subscribe.end());
    request.mutable_resource_names_unsubscribe()->Assign(asked.unsubscribe.begin(),
                                                         asked.unsubscribe.end());
    stream_->Send(std::move(request));
  }
}

void Feed::PublishPolicy() {
  if (policy_->rules() != published_rules_) {
    published_rules_ = policy_->rules();
    delegate_.OnEgressRules(published_rules_);
  }
  if (policy_->ingress_rules() != published_ingress_) {
    published_ingress_ = policy_->ingress_rules();
    delegate_.OnIngressRules(published_ingress_);
  }
}

}  // namespace portolan::proxy
