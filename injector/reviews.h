// The reviews of a server: the template and the cluster as they are now, what became of each pod in
// counters and in the log. What a review says is Review's business (injector.h).
//
// On the loop's thread. A review is CPU work alone: nothing waits.
#pragma once

#include <array>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/http/message.h"
#include "common/metrics.h"
#include "injector/injector.h"

namespace portolan::injector {

class Reviews {
 public:
  using Facts = std::function<const ClusterFacts&()>;

  // `own_namespace` is never injected; `facts` is asked at each review.
  Reviews(std::string own_namespace, Facts facts);

  // An error says where the text is wrong; then the template before it stays in force.
  absl::Status SetTemplate(const std::string& text);
  const Template& settings() const { return settings_; }

  http::Response Answer(const http::Request& request);

  void AddMetrics(MetricFamilies& families) const;

 private:
  const std::string own_namespace_;
  const Facts facts_;
  Template settings_;
  std::array<Counter, kOutcomes.size()> outcomes_;  // in the order of kOutcomes
  Histogram seconds_;
  Counter templates_read_, templates_refused_;
};

}  // namespace portolan::injector
