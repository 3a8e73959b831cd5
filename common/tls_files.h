// Certificates and keys in files, as operators and cert-manager write them (PEM): read with a
// bound, and checked before anyone relies on them. A Secret that is mounted changes by a swap of
// links; whatever way the files change, they are read again.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/folder_watch.h"
#include "common/metrics.h"

namespace portolan {

// What a server shows to its clients.
struct TlsIdentity {
  std::string certificates;  // PEM: its own first, then those that lead to a CA
  std::string key;           // PEM
  absl::Time expires;        // of the first certificate

  friend bool operator==(const TlsIdentity&, const TlsIdentity&) = default;
};

struct TlsIdentityFiles {
  std::string certificate;
  std::string key;
};

// Any thread. An error names the file and says why a server could not use the pair: not to be read,
// no PEM, a key with a passphrase, a key of another certificate, a certificate that has expired.
absl::StatusOr<TlsIdentity> LoadTlsIdentity(const TlsIdentityFiles& files);

// Any thread. The PEM of the CAs in `path`, at least one. An error names the file.
absl::StatusOr<std::string> LoadTlsRoots(const std::string& path);

// A pair of files that is read again when one of them changed. A pair that cannot be used is logged
// and counted, and the one before it stays. Belongs to the loop's thread.
//
// It looks at the files instead of waiting for inotify: links may lead anywhere, and a second
// is soon enough.
class FollowedTlsIdentity {
 public:
  // `on_change` is told of every usable pair after the first. `loop` outlives it.
  FollowedTlsIdentity(EventLoop& loop, TlsIdentityFiles files,
                      std::function<void(const TlsIdentity&)> on_change);

  // Reads the files; an error if they cannot be used.
  absl::Status Start();

  // As last read and usable.
  const TlsIdentity& current() const { return current_; }

  void AddMetrics(MetricFamilies& families) const;

  // A change is seen once the files looked the same twice: two writes make one pair.
  static constexpr absl::Duration kLookEvery = absl::Milliseconds(500);

 private:
  using Stamps = std::array<std::optional<FileStamp>, 2>;

  Stamps LookAtFiles() const;
  void Look();
  void Read();

  const TlsIdentityFiles files_;
  const std::function<void(const TlsIdentity&)> on_change_;
  TlsIdentity current_;
  Stamps seen_;
  Stamps read_;  // as the files were when they were last read
  Counter reloads_;
  Counter failures_;
  EventLoop::Timer timer_;
};

}  // namespace portolan
