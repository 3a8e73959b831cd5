// Tokens verified by the public keys of those who issue them, where there is no API server to ask:
// RS256 and ES256 (RFC 7518). Whether a token's pod is still there is then not known.
//
// The keys are in one file, as PEM (what `--service-account-key-file` of an API server takes) or as
// a JWKS (what its /openid/v1/jwks gives, RFC 7517). A changed file is read again at the next
// token; one that cannot be used leaves the keys before it in force. The loop's thread.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/folder_watch.h"
#include "xds/authentication/token_verifier.h"

namespace portolan::xds {

struct IssuerKey {
  struct Free {
    void operator()(EVP_PKEY* owned) const { EVP_PKEY_free(owned); }
  };
  std::string id;  // "kid"; empty: any
  std::unique_ptr<EVP_PKEY, Free> key;
};

// Any thread. Errors say which key is wrong, and how. Of a JWKS, keys of other kinds are left out.
absl::StatusOr<std::vector<IssuerKey>> ParseIssuerKeys(const std::string& text);

class IssuerKeys : public TokenVerifier {
 public:
  // An error names the file.
  static absl::StatusOr<std::unique_ptr<IssuerKeys>> Load(const std::string& path);

  void Verify(const std::string& token, Done done) override { done(Verify(token)); }

 private:
  explicit IssuerKeys(std::string path) : path_(std::move(path)) {}

  absl::Status Read();
  absl::StatusOr<PodIdentity> Verify(const std::string& token);

  const std::string path_;
  std::optional<FileStamp> read_;
  std::vector<IssuerKey> keys_;
};

}  // namespace portolan::xds
