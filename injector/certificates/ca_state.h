// What Secret portolan-ca holds, and what becomes of it: one CA that signs, the next one while it
// is not signing yet, and all that are trusted. A pure function decides; whoever has the Secret
// writes what it says, by resourceVersion, and so several replicas agree.
//
//   made       -> signs, trusted
//   2/3 over   -> another is made: trusted, does not sign
//   1/30 later -> that one signs, once the webhook configuration trusts it; the old one is trusted
//                 until it expires, and then forgotten: nothing that it signed lives longer
//
// What cannot be used is made anew, and never served. Any thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "injector/certificates/authority.h"

namespace portolan::injector {

// A Secret's data, decoded.
using SecretData = std::map<std::string, std::string>;

struct CaState {
  KeyPair signing;              // ca.crt, ca.key
  std::optional<KeyPair> next;  // next.crt, next.key
  std::string bundle;           // bundle.crt: PEM of all that are trusted

  // Keys that are absent are empty; without next.crt there is no next.
  static CaState FromData(const SecretData& data);
  SecretData ToData() const;

  friend bool operator==(const CaState&, const CaState&) = default;
};

struct CaDecision {
  CaState state;    // what counts from now on
  std::string why;  // it has to be written; empty: it is what is stored
};

// `stored`: nothing where there is no Secret. `trusted`: PEM of what this process took for trusted
// so far, which stays trusted where a lost Secret is made anew. `bundle_in_force`: the webhook
// configuration trusts all of the stored bundle. An error is OpenSSL's.
absl::StatusOr<CaDecision> DecideCa(const std::optional<CaState>& stored,
                                    const std::string& trusted, bool bundle_in_force,
                                    absl::Duration lifetime, absl::Time now);

}  // namespace portolan::injector
