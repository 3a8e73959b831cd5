// The Corefile in force: where it came from, what it means, and when it is read again.
//
// With `reload` in it, the sidecar's own Corefile is read at that directive's interval, with what
// it imports; other words than before are put in force, and a file that cannot be is refused,
// logged once and shown, while the old one goes on. The files of `hosts` and `loadbalance weighted`
// are looked at (stat) at those directives' intervals. What the control plane sends is in force
// until it sends another.
//
// Main thread only. Files are read here, blocking: no query waits for it.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "common/event_loop.h"
#include "common/metrics.h"
#include "dns/config.h"
#include "dns/corefile/ast.h"

namespace portolan::proxy {

class DnsConfig {
 public:
  // `own_file`: path; empty: the built-in one. `on_change` is called when config() is another one.
  DnsConfig(EventLoop& loop, std::string own_file, std::function<void()> on_change);

  // An error leaves everything as it was.
  absl::Status UseOwn();
  absl::Status UseControlPlanes(const std::string& text);

  // Null before the first success.
  const std::shared_ptr<const dns::Config>& config() const { return config_; }
  // The file's path, "built-in" or "control plane".
  const std::string& source() const { return source_; }

  // {"corefile", "corefileSource", "corefileNotes", "corefileRefused"}: the last is the error of
  // the own file as it is now, where it was refused.
  nlohmann::json Dump() const;
  void CollectMetrics(MetricFamilies& families) const;

 private:
  absl::StatusOr<dns::corefile::Corefile> Parse(const std::string& text,
                                                const std::string& name) const;
  absl::Status Use(const std::string& text, const std::string& name);
  void PutInForce(std::shared_ptr<const dns::Config> config);
  void Reload();
  void Refuse(const absl::Status& why);
  void LookAtFiles();

  const std::string own_file_;
  const std::function<void()> on_change_;
  std::minstd_rand random_;

  std::string text_;
  std::string source_;
  dns::corefile::Corefile words_;
  std::string hash_;  // SHA-512 of the words, in hexadecimal digits
  std::shared_ptr<const dns::Config> config_;
  std::string refused_;  // why
  Counter failed_reloads_;

  EventLoop::Timer reload_timer_;
  EventLoop::Timer files_timer_;
};

}  // namespace portolan::proxy
