// Sidecars that have reported what a test says, and answer what it says.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "xds/sidecars/reported_sidecar.h"

namespace portolan::xds {

struct FakeSidecars : AskedSidecars {
  void Ask(std::string_view node_id, v1::Question question, Done done) override {
    asked_of = std::string(node_id);
    asked = std::move(question);
    done(answer);
  }
  std::optional<ReportedSidecar> Find(std::string_view node_id) const override {
    for (const ReportedSidecar& one : all) {
      if (one.node_id == node_id) return one;
    }
    return std::nullopt;
  }
  std::vector<ReportedSidecar> All() const override { return all; }
  AskedBy AskedFor(std::string_view service_key, size_t most_pods) const override {
    if (service_key != "default/backend") return {};
    AskedBy some = asked_for_backend;
    if (some.by_pod.size() > most_pods) some.by_pod.resize(most_pods);
    return some;
  }

  // Ten seconds after the one before it, where there is one.
  void Report(std::string node_id, const v1::SidecarReport& report,
              const v1::SidecarReport* previous = nullptr) {
    ReportedSidecar one;
    one.node_id = std::move(node_id);
    one.reported = absl::Now();
    one.report = std::make_shared<v1::SidecarReport>(report);
    if (previous != nullptr) {
      one.previous = std::make_shared<v1::SidecarReport>(*previous);
      one.previous_reported = one.reported - absl::Seconds(10);
    }
    all.push_back(std::move(one));
  }

  std::vector<ReportedSidecar> all;
  AskedBy asked_for_backend;
  absl::StatusOr<std::string> answer = "{\"a\": 1}";
  std::string asked_of;
  v1::Question asked;
};

}  // namespace portolan::xds
