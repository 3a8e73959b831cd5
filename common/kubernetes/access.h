// Where the API server is, and who we are there.
//
// Both change while a control plane runs: kubelets renew tokens, CAs are replaced, exec credentials
// expire. So nobody keeps an Access for longer than one request; an AccessSource gives the one that
// counts now. Everything is called on the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace portolan {

struct Access {
  std::string server;  // "https://10.96.0.1:443", perhaps with a path; no slash at the end
  // PEM of the CAs that the server is known by. Empty: those of this machine.
  std::string ca;
  std::string ca_origin;        // where an operator finds them: a path, or a field of a file
  std::string tls_server_name;  // what its certificate is for; empty: the host of `server`
  bool verified = true;         // false: insecure-skip-tls-verify
  std::string proxy;            // a URL; empty: as https_proxy and no_proxy say

  std::string authorization;       // the header's value, "Bearer TOKEN"; empty: no such header
  std::string client_certificate;  // PEM; empty: none
  std::string client_key;          // PEM
};

using AccessPtr = std::shared_ptr<const Access>;

class AccessSource {
 public:
  using Take = std::function<void(const absl::StatusOr<AccessPtr>&)>;

  virtual ~AccessSource() = default;
  // Calls `take` once, now or later on the loop; never once the source is destroyed. An error says
  // which file, field or command failed.
  virtual void Get(Take take) = 0;
  // The server did not know us by `refused` (401): what was remembered of it is of no use.
  virtual void OnUnauthorized(const Access& refused) = 0;
};

}  // namespace portolan
