// What the kubernetes plugin answers from: the directory and how far it can be trusted, as one
// immutable value that is posted to each worker when it changes.
#pragma once

#include <cstdint>
#include <memory>

#include "directory/directory.h"

namespace portolan::dns {

class ServiceRecords;  // dns/plugins/service_records.h: answers compiled to wire form

enum class FeedTrust : uint8_t {
  kNone,    // nothing is known yet: every question goes on to the cluster DNS
  kStale,   // known names are answered; unknown ones go on to the cluster DNS
  kInSync,  // what is not known does not exist
};

struct ClusterData {
  FeedTrust trust = FeedTrust::kNone;
  std::shared_ptr<const Snapshot> snapshot = std::make_shared<const Snapshot>();
  std::shared_ptr<const ServiceRecords> records;
};

// A worker's current ClusterData: written by a task on the worker's loop, read by its plugins.
class ClusterDataHolder {
 public:
  const ClusterData& current() const { return *current_; }
  void Replace(std::shared_ptr<const ClusterData> next) { current_ = std::move(next); }

 private:
  std::shared_ptr<const ClusterData> current_ = std::make_shared<const ClusterData>();
};

}  // namespace portolan::dns
