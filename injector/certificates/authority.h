// A certificate authority of our own and what it signs, as pure functions of keys, names and a time
// (RFC 5280). Keys are P-256. Any thread; nothing is thrown.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/certificate.h"

namespace portolan::injector {

// Certificates begin so long before they are made: clocks of a cluster differ.
inline constexpr absl::Duration kClockSkew = absl::Minutes(5);

// A certificate, perhaps followed by those that lead to its CA, and its key, both PEM: what a
// Secret of type kubernetes.io/tls holds.
struct KeyPair {
  std::string certificate;
  std::string key;

  friend bool operator==(const KeyPair&, const KeyPair&) = default;
};

// The first certificate of a pair. An error says what is wrong: no PEM, a key that does not fit, a
// certificate that is not good at `now`.
absl::StatusOr<Certificate> CheckPair(const KeyPair& pair, absl::Time now);

// An error is OpenSSL's: no randomness, no memory.
absl::StatusOr<KeyPair> MakeAuthority(absl::Duration lifetime, absl::Time now);

struct ServerNames {
  std::string common_name;             // "portolan-injector"
  std::vector<std::string> dns_names;  // at least one
};
// The names that clients in a cluster may use for a Service, the one that ends in .svc first.
ServerNames NamesOfService(const std::string& service, const std::string& name_space,
                           const std::string& cluster_domain);

// Ends with its CA at the latest. REQUIRES: CheckPair has taken `authority`.
absl::StatusOr<KeyPair> SignServer(const KeyPair& authority, const ServerNames& names,
                                   absl::Duration lifetime, absl::Time now);

// When two thirds of its life are over: what is renewed then may fail for a long time.
absl::Time RenewalOf(const Certificate& certificate);

// Why a server's certificate is to be signed anew; empty: it is good for a while.
std::string ServerFault(const KeyPair& held, const KeyPair& authority, const ServerNames& names,
                        absl::Time now);

}  // namespace portolan::injector
