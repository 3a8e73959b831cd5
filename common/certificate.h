// X.509 certificates (RFC 5280): read from PEM, asked when they are good and who signed them.
// Values that share what they were read from; any thread. Nothing is thrown.
#pragma once

#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan {

class Certificate {
 public:
  // All in `pem`, in order, at least one; an error says why there is none or which cannot be read.
  static absl::StatusOr<std::vector<Certificate>> ReadAll(const std::string& pem);
  // Those that can be read, up to the first that cannot.
  static std::vector<Certificate> Salvage(const std::string& pem);

  absl::Time begins() const;
  absl::Time expires() const;
  bool is_authority() const;
  // For a server of this DNS name.
  bool IsFor(const std::string& name) const;
  bool IsSignedBy(const Certificate& authority) const;
  bool FitsKey(EVP_PKEY* key) const;
  std::string Pem() const;

  friend bool operator==(const Certificate& a, const Certificate& b);

 private:
  explicit Certificate(X509* owned);

  std::shared_ptr<X509> x509_;
};

// 2026-12-01T00:00:00+00:00
std::string Written(absl::Time time);

}  // namespace portolan
