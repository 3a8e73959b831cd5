// The way to the API server that Kubernetes gives to every pod.
// https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/kubernetes/access.h"

namespace portolan {

// Token and CA are read at each request, which costs microseconds: a kubelet replaces the token
// while it is still good, and the file then holds the new one.
class InCluster : public AccessSource {
 public:
  static constexpr char kServiceAccountFolder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

  // By KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, and `folder`'s token and ca.crt. An
  // error says what is missing: then this is no pod, or one without a service account.
  static absl::StatusOr<std::unique_ptr<InCluster>> Find(
      const std::string& folder = kServiceAccountFolder);

  void Get(Take take) override { take(Read()); }
  void OnUnauthorized(const Access&) override {}

 private:
  InCluster(std::string server, std::string folder);

  absl::StatusOr<AccessPtr> Read() const;

  const std::string server_;
  const std::string folder_;
};

}  // namespace portolan
