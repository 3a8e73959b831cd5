#include "common/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>

namespace portolan {
namespace {

bool HasLabels(const prometheus::ClientMetric& sample, Labels labels) {
  return std::equal(
      sample.label.begin(), sample.label.end(), labels.begin(), labels.end(),
      [](const auto& a, const auto& b) { return a.name == b.first && a.value == b.second; });
}

// The sample with these labels, new or known.
prometheus::ClientMetric& AddSample(MetricFamilies& families, std::string_view name,
                                    std::string_view help, prometheus::MetricType type,
                                    Labels labels) {
  auto family = std::find_if(families.begin(), families.end(),
                             [&](const auto& known) { return known.name == name; });
  if (family == families.end()) {
    family = families.emplace(family);
    family->name = name;
    family->help = help;
    family->type = type;
  }
  for (prometheus::ClientMetric& known : family->metric) {
    if (HasLabels(known, labels)) return known;
  }
  prometheus::ClientMetric& sample = family->metric.emplace_back();
  for (const auto& [key, value] : labels) {
    sample.label.push_back({std::string(key), std::string(value)});
  }
  return sample;
}

}  // namespace

void AddCounterSample(MetricFamilies& families, std::string_view name, std::string_view help,
                      Labels labels, double value) {
  AddSample(families, name, help, prometheus::MetricType::Counter, labels).counter.value += value;
}

void AddGaugeSample(MetricFamilies& families, std::string_view name, std::string_view help,
                    Labels labels, double value) {
  AddSample(families, name, help, prometheus::MetricType::Gauge, labels).gauge.value += value;
}

void SetGaugeSample(MetricFamilies& families, std::string_view name, std::string_view help,
                    Labels labels, double value) {
  AddSample(families, name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void AddHistogramSample(MetricFamilies& families, std::string_view name, std::string_view help,
                        Labels labels, const Histogram& histogram) {
  AddTo(AddSample(families, name, help, prometheus::MetricType::Histogram, labels).histogram,
        histogram);
}

void AddTo(prometheus::ClientMetric::Histogram& sample, const Histogram& histogram) {
  const std::span<const double> bounds = histogram.bounds();
  if (sample.bucket.empty()) {
    for (const double bound : bounds) sample.bucket.push_back({0, bound});
    sample.bucket.push_back({0, std::numeric_limits<double>::infinity()});
  }
  uint64_t at_most = 0;
  for (size_t i = 0; i <= bounds.size(); ++i) {
    at_most += histogram.count(i);
    sample.bucket[i].cumulative_count += at_most;
  }
  sample.sample_count += at_most;
  sample.sample_sum += histogram.sum();
}

void MetricsPage::AddSource(Source source) {
  sources_.With([&](auto& sources) { sources.push_back(std::move(source)); });
}

MetricFamilies MetricsPage::Collect() const {
  MetricFamilies families;
  sources_.With([&](const auto& sources) {
    for (const Source& source : sources) source(families);
  });
  return families;
}

std::string MetricsPage::Render() const {
  return prometheus::TextSerializer().Serialize(Collect());
}

}  // namespace portolan
