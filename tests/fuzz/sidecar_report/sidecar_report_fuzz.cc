// Any bytes as what a sidecar reports, and as what it answers: refused, or of a size and shape that
// can be shown and kept.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "portolan/v1/sidecars.pb.h"
#include "xds/api/sidecar_limits.h"
#include "xds/dashboard/report_json.h"
#include "xds/sidecars/asked_names.h"
#include "xds/sidecars/report_rules.h"

namespace portolan::xds {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void TakeReport(const v1::SidecarReport& report) {
  if (!CheckReport(report).ok()) return;
  Require(report.names().names_size() <= api::kMaxReportedNames);
  NamesJson(report.names()).dump();
  FlowsJson(report.flows()).dump();
  AmplificationJson(report.amplification()).dump();
  Require(static_cast<size_t>(report.policy().denials_size()) <= api::kMaxReportedDenials);
  PolicyJson(report.policy(), PolicyLists::kShown).dump();

  // As the second of a sidecar, all of whose parts are absent.
  v1::SidecarReport next;
  KeepAbsentParts(report, next);
  Require(next.SerializeAsString() == report.SerializeAsString());

  AskedNames asked;
  asked.OnReport("default/frontend-1", report.names());
  for (const v1::AskedName& name : report.names().names()) {
    if (name.service()) Require(asked.Find(name.name(), 20, absl::ZeroDuration()).pods == 1);
  }
  asked.OnReport("default/frontend-1", {});
  for (const v1::AskedName& name : report.names().names()) {
    Require(asked.Find(name.name(), 20, absl::ZeroDuration()).pods == 0);
  }
}

size_t DepthOf(const nlohmann::json& value) {
  size_t deepest = 0;
  for (const auto& inner : value) {
    if (inner.is_structured()) deepest = std::max(deepest, DepthOf(inner));
  }
  return value.is_structured() ? deepest + 1 : 0;
}

void TakeAnswer(std::string_view text) {
  if (!CheckAnswer(text).ok()) return;
  const auto answer = nlohmann::json::parse(text, nullptr, false);
  Require(answer.is_discarded() || DepthOf(answer) <= api::kMaxAnswerDepth);
}

}  // namespace
}  // namespace portolan::xds

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portolan::xds::TakeAnswer({reinterpret_cast<const char*>(data), size});
  portolan::v1::SidecarReport report;
  if (!report.ParseFromArray(data, static_cast<int>(size))) return 0;
  report.DiscardUnknownFields();
  portolan::xds::TakeReport(report);
  return 0;
}
