// Where the control plane reads its cluster from: what `--source` names.
//
// A source fills a Directory on its loop's thread and calls on_change, given to it when it is made,
// when there is something to commit. Everything here is called on that thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/metrics.h"

namespace portolan::xds {

class Source {
 public:
  // `since`: when the first of the events behind the change arrived.
  using OnChange = std::function<void(absl::Time since)>;

  virtual ~Source() = default;

  // Begins to read, and to follow what changes. An error if there is nothing to read from.
  virtual absl::Status Start() = 0;

  // What has not been read yet, in words. Empty: the directory holds the whole cluster, from now
  // on; on_change is called when that comes true.
  virtual std::vector<std::string> missing() const = 0;

  virtual void AddMetrics(MetricFamilies& families) const = 0;
  // For people: what is read, how far it is, what went wrong.
  virtual nlohmann::json Describe() const = 0;
};

}  // namespace portolan::xds
