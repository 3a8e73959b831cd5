// One Secret that this process and its replicas keep as it should be: read, and written where it
// has to change. Whoever writes names the resourceVersion that it read, so that of two that write
// at once one is refused, reads the other's and decides anew.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
//
// The role has to allow: get, update and create. On the loop's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/kubernetes/api_call.h"
#include "common/metrics.h"
#include "injector/certificates/ca_state.h"

namespace portolan::injector {

class KeptSecret {
 public:
  struct Wanted {
    SecretData data;  // all of it: keys of ours that are not in it are removed
    std::string why;  // it has to be written; empty: it is what is stored
  };
  // `stored`: nothing where there is no Secret. May be called again, for what another wrote.
  using Decide = std::function<absl::StatusOr<Wanted>(const std::optional<SecretData>& stored)>;
  // What the Secret holds now.
  using Done = std::function<void(const absl::StatusOr<SecretData>&)>;

  // `type` as Kubernetes has it: "Opaque", "kubernetes.io/tls".
  KeptSecret(ApiClient& client, std::string name_space, std::string name, std::string type);

  // One at a time.
  void Keep(Decide decide, Done done);

  const std::string& name() const { return name_; }
  // Any thread.
  uint64_t writes() const { return writes_.value(); }
  uint64_t conflicts() const { return conflicts_.value(); }

 private:
  // Somebody else wins so often only where something is wrong.
  static constexpr int kMostConflicts = 5;

  void Read();
  void OnRead(const absl::StatusOr<std::string>& body);
  void Write(const std::string& read, const Wanted& wanted);
  void OnWritten(const SecretData& data, const absl::StatusOr<std::string>& body);
  void Finish(const absl::StatusOr<SecretData>& result);
  std::string Path() const;

  const std::string name_space_;
  const std::string name_;
  const std::string type_;
  ApiCall call_;
  Decide decide_;
  Done done_;
  int tries_ = 0;
  Counter writes_, conflicts_;
};

}  // namespace portolan::injector
