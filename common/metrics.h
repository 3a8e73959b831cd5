// Counters that cost one plain store, and the page that shows them.
//
// The data path counts into a Counter of its own worker: one writer, so no locked instruction; the
// metrics page reads them from another thread and adds the workers up. prometheus-cpp's own
// counters are atomic read-modify-writes on doubles, too dear for a packet; its data model and text
// format are used as they are.
#pragma once

#include <prometheus/metric_family.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/guarded.h"

namespace portolan {

// Add: one thread. value: any thread.
class Counter {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// A distribution, by how many observations were at most each bound. Observe: one thread. The rest:
// any thread. `bounds` ascend, and outlive it.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(std::make_unique<Counter[]>(bounds.size() + 1)) {}

  // `times` observations of the same value.
  void Observe(double value, uint64_t times = 1) {
    size_t at = 0;
    while (at < bounds_.size() && value > bounds_[at]) ++at;
    counts_[at].Add(times);
    sum_.store(sum_.load(std::memory_order_relaxed) + value * static_cast<double>(times),
               std::memory_order_relaxed);
  }

  // What `other`, of the same bounds, has observed. One thread, as Observe.
  void Add(const Histogram& other) {
    for (size_t i = 0; i <= bounds_.size(); ++i) counts_[i].Add(other.count(i));
    sum_.store(sum() + other.sum(), std::memory_order_relaxed);
  }

  std::span<const double> bounds() const { return bounds_; }
  // Of observations that are above the bound before and at most this one; the last has no bound.
  uint64_t count(size_t bucket) const { return counts_[bucket].value(); }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::span<const double> bounds_;
  const std::unique_ptr<Counter[]> counts_;
  std::atomic<double> sum_{0};
};

using MetricFamilies = std::vector<prometheus::MetricFamily>;
using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// Adds a sample to the family `name`, which is made if it is not there yet. Samples with the same
// labels, from several workers say, add up to one. Counter names end in _total
// (https://prometheus.io/docs/practices/naming/).
void AddCounterSample(MetricFamilies& families, std::string_view name, std::string_view help,
                      Labels labels, double value);
void AddGaugeSample(MetricFamilies& families, std::string_view name, std::string_view help,
                    Labels labels, double value);
// Of what all workers say the same of.
void SetGaugeSample(MetricFamilies& families, std::string_view name, std::string_view help,
                    Labels labels, double value);

// The same for a histogram; those with the same labels have the same bounds.
void AddHistogramSample(MetricFamilies& families, std::string_view name, std::string_view help,
                        Labels labels, const Histogram& histogram);

// Adds what was observed to a sample; one that is empty takes the histogram's bounds.
void AddTo(prometheus::ClientMetric::Histogram& sample, const Histogram& histogram);

// The /metrics page of a program. Any thread; sources are called one at a time, on the thread of
// the caller, and must be safe to call from there.
class MetricsPage {
 public:
  using Source = std::function<void(MetricFamilies&)>;

  void AddSource(Source source);

  MetricFamilies Collect() const;
  // Prometheus text format 0.0.4.
  std::string Render() const;

 private:
  Guarded<std::vector<Source>> sources_;
};

}  // namespace portolan
