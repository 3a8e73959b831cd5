// How far a feed's directory can be believed, and why not further. Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace portolan::proxy {

struct FeedStatus {
  // Where the published directory came from.
  enum class Source { kNone, kDisk, kControlPlane };

  struct Type {
    std::string_view type_url;
    // This stream brought the whole set.
    bool synced = false;
    uint64_t held = 0;
    uint64_t nacks = 0;
    // What was wrong with the response last refused; empty once another was accepted.
    std::string last_nack;
  };

  Source source = Source::kNone;
  bool connected = false;
  // The stream is up and the control plane was heard within stale_after: what is asked for comes.
  bool answering = false;
  // The endpoints of as many Services are wanted as may be: no more are prefetched.
  bool endpoints_full = false;
  // The directory is what the control plane has: the stream is up, it brought every full set, and
  // the control plane was heard within stale_after. Only then does "not in the directory" mean
  // "does not exist".
  bool in_sync = false;
  // The address of the current or next attempt.
  std::string control_plane;
  // Why there is no connection; empty while there is one, and before the first attempt failed.
  std::string last_failure;
  // As Monotonic() has it, so that setting the wall clock makes nothing older or younger. While in
  // sync: now. Minus infinity: never.
  absl::Duration last_sync = -absl::InfiniteDuration();
  // The control plane has said that there is no ProxyConfig of the name asked for.
  bool proxy_config_missing = false;
  // Egress rules are in force, from disk or from the control plane, be it that there are none for
  // this pod.
  bool policy_known = false;
  // What is wrong with the state on disk: it was not used, or cannot be saved. Empty if all is
  // well.
  std::string state_fault;
  std::vector<Type> types;

  // Zero while in sync, infinite if it never was. `now` as Monotonic() has it.
  absl::Duration Age(absl::Duration now) const;
};

// "12s", "never in sync".
std::string DescribeAge(const FeedStatus& status);

// "none", "disk", "control plane"
std::string_view SourceName(FeedStatus::Source source);

// Whether all is equal that FeedDelegate::OnFeedStatus tells of.
bool SameButCounts(const FeedStatus& a, const FeedStatus& b);

}  // namespace portolan::proxy
