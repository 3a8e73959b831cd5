// Credentials that a command prints, as a kubeconfig's `exec` asks for: kept until they expire or
// are refused, and then asked for again.
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
//
// The command runs beside the loop, at most once at a time, for a minute at most. The loop's thread
// only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/command.h"
#include "common/event_loop.h"
#include "common/kubernetes/access.h"

namespace portolan {

struct ExecCommand {
  std::string origin;  // "user 'admin' in ~/.kube/config", for messages
  std::string command;
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;
  std::string api_version;  // "client.authentication.k8s.io/v1" or v1beta1
  std::string install_hint;
  bool provide_cluster_info = false;
  std::string cluster_config;  // JSON, of the cluster's extension; empty: none
};

struct ExecCredential {
  std::string token;
  std::string client_certificate;  // PEM
  std::string client_key;          // PEM
  absl::Time expires = absl::InfiniteFuture();
};

// Any thread: what a command printed. An error says which field is wrong.
absl::StatusOr<ExecCredential> ParseExecCredential(const std::string& text,
                                                   const std::string& api_version);

class ExecCredentials {
 public:
  using Take = std::function<void(const absl::StatusOr<ExecCredential>&)>;

  ExecCredentials(EventLoop& loop, ExecCommand command)
      : loop_(loop), command_(std::move(command)) {}

  // Calls `take` once, now or later. `cluster`: what the command may be told of it.
  void Get(const Access& cluster, Take take);
  // The next Get runs the command.
  void Forget() { held_.reset(); }
  // Nothing: there is none, or it has expired.
  const ExecCredential* held() const;

 private:
  void OnPrinted(const absl::StatusOr<std::string>& printed);
  absl::StatusOr<ExecCredential> Explain(const absl::StatusOr<std::string>& printed) const;

  EventLoop& loop_;
  const ExecCommand command_;
  std::unique_ptr<ExecCredential> held_;
  std::vector<Take> waiting_;
  std::unique_ptr<Command> running_;
};

}  // namespace portolan
