#include "xds/serving/propagation.h"

namespace portolan::xds {
namespace {

constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 60.0};
uint64_t CountOf(const Histogram& histogram) {
  uint64_t count = 0;
  for (size_t i = 0; i <= histogram.bounds().size(); ++i) count += histogram.count(i);
  return count;
}

void AddSample(MetricFamilies& families, ResourceType type, std::string_view stage,
               const Histogram& histogram) {
  if (CountOf(histogram) == 0) return;
  const std::string_view url = TypeUrl(type);
  AddHistogramSample(families, "portolan_propagation_seconds",
                     "From the arrival of a change at the control plane until a client was sent "
                     "it, and until it acknowledged it.",
                     {{"type", url.substr(url.rfind('.') + 1)}, {"stage", stage}}, histogram);
}

}  // namespace

PropagationTimes::Stages::Stages() : sent(kBounds), acknowledged(kBounds) {}

void PropagationTimes::Observe(ResourceType type, Stage stage, absl::Duration since_event) {
  types_.With([&](auto& types) {
    Stages& stages = types[static_cast<size_t>(type)];
    Histogram& histogram = stage == Stage::kSent ? stages.sent : stages.acknowledged;
    histogram.Observe(absl::ToDoubleSeconds(since_event));
  });
}

void PropagationTimes::AddMetrics(MetricFamilies& families) const {
  types_.With([&](const auto& types) {
    for (size_t i = 0; i < types.size(); ++i) {
      const auto type = static_cast<ResourceType>(i);
      AddSample(families, type, "sent", types[i].sent);
      AddSample(families, type, "acknowledged", types[i].acknowledged);
    }
  });
}

}  // namespace portolan::xds
