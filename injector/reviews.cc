#include "injector/reviews.h"

#include <utility>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"

namespace portolan::injector {
namespace {

constexpr double kSecondBounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                    0.005,  0.01,    0.025,  0.1,   1};

void Log(const Reviewed& reviewed) {
  const std::string line =
      fmt::format("{}/{}: {}{}{}", reviewed.name_space, reviewed.pod, Name(reviewed.outcome),
                  reviewed.detail.empty() ? "" : ": ", reviewed.detail);
  if (Denied(reviewed.outcome) || reviewed.status != 200) {
    log::warn("{}", line);
  } else {
    log::info("{}", line);
  }
}

}  // namespace

Reviews::Reviews(std::string own_namespace, Facts facts)
    : own_namespace_(std::move(own_namespace)), facts_(std::move(facts)), seconds_(kSecondBounds) {}

absl::Status Reviews::SetTemplate(const std::string& text) {
  auto read = ParseTemplate(text);
  if (!read.ok()) {
    templates_refused_.Add();
    return read.status();
  }
  templates_read_.Add();
  settings_ = *std::move(read);
  return absl::OkStatus();
}

http::Response Reviews::Answer(const http::Request& request) {
  const absl::Duration begun = Monotonic();
  Reviewed reviewed = Review(request.body, settings_, facts_(), own_namespace_);
  for (size_t i = 0; i < kOutcomes.size(); ++i) {
    if (kOutcomes[i] == reviewed.outcome) outcomes_[i].Add();
  }
  Log(reviewed);
  http::Response response;
  response.status = reviewed.status;
  if (reviewed.status == 200) response.content_type = "application/json";
  response.body = std::move(reviewed.body);
  seconds_.Observe(absl::ToDoubleSeconds(Monotonic() - begun));
  return response;
}

void Reviews::AddMetrics(MetricFamilies& families) const {
  for (size_t i = 0; i < kOutcomes.size(); ++i) {
    AddCounterSample(families, "portolan_injector_reviews_total",
                     "Pods reviewed, by what became of them.", {{"outcome", Name(kOutcomes[i])}},
                     static_cast<double>(outcomes_[i].value()));
  }
  AddHistogramSample(families, "portolan_injector_review_seconds",
                     "How long a review took, from its last byte to the answer's first.", {},
                     seconds_);
  const auto templates = [&](std::string_view result, const Counter& counter) {
    AddCounterSample(families, "portolan_injector_templates_total",
                     "How often a changed template was read.", {{"result", result}},
                     static_cast<double>(counter.value()));
  };
  templates("ok", templates_read_);
  templates("failed", templates_refused_);
}

}  // namespace portolan::injector
