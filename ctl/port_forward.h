// `kubectl port-forward` as a child: the way to the control plane of a cluster that one has a
// kubeconfig for. kubectl chooses a ready pod of the Deployment and a free port of 127.0.0.1.
// https://kubernetes.io/docs/reference/kubectl/generated/kubectl_port-forward/
//
// The child ends with the PortForward, and with this program however it ends. One thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/fd.h"

namespace portolan::ctl {

class PortForward {
 public:
  struct Options {
    std::string kubeconfig = {};  // paths as in KUBECONFIG; empty: kubectl finds it
    std::string context = {};     // empty: the current one
    std::string ns = "portolan-system";
    std::string target = "deployment/portolan-control";
    int port = 15080;
    absl::Duration patience = absl::Seconds(30);
  };

  // Once the port is open. An error says what kubectl said, or how to get it.
  static absl::StatusOr<std::unique_ptr<PortForward>> Start(const Options& options);
  ~PortForward();
  PortForward(const PortForward&) = delete;
  PortForward& operator=(const PortForward&) = delete;

  // "http://127.0.0.1:40123"
  const std::string& url() const { return url_; }
  // Reads what kubectl has printed meanwhile, so that it need not wait for us: before each request,
  // or when fd() is readable; `patience`: waits so long for something. False once kubectl has
  // ended.
  bool Drain(absl::Duration patience = absl::ZeroDuration());
  int fd() const { return output_.get(); }

  // What kubectl has said beside what it always says, the last 4 KB: why a connection failed.
  const std::string& complaints() const { return complaints_; }

 private:
  PortForward() = default;
  absl::Status Spawn(const Options& options);
  absl::Status WaitForPort(const Options& options);
  void Take(std::string_view line);

  pid_t pid_ = -1;
  Fd output_;  // of kubectl, both streams; not blocking
  std::string line_;
  std::string complaints_;
  std::string url_;
};

}  // namespace portolan::ctl
