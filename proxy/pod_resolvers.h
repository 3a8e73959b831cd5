// The nameservers of the pod's resolv.conf: who is asked what the sidecar cannot answer.
//
// They are those that the file names at the start: a kubelet writes it before the containers start
// and not again. Where it is not there, cannot be read or names nobody the sidecar serves what it
// knows itself, and the file is looked at until it does. Resolvers would ask 127.0.0.1 then
// (resolv.conf(5)), which leads back here. Main thread only.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/resolv_conf.h"

namespace portolan::proxy {

class PodResolvers {
 public:
  static constexpr absl::Duration kLookEvery = absl::Seconds(2);

  // Reads the file; what is wrong with it is logged. `on_change` is called when current() is
  // another one.
  PodResolvers(EventLoop& loop, std::string path, std::function<void()> on_change);

  const ResolvConf& current() const { return current_; }

 private:
  // False where it names nobody; `why_not_` then says why.
  bool Read();
  void Look();

  const std::string path_;
  const std::function<void()> on_change_;
  ResolvConf current_;
  std::string why_not_;
  EventLoop::Timer look_;
};

}  // namespace portolan::proxy
