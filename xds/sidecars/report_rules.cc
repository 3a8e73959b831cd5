#include "xds/sidecars/report_rules.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::xds {
namespace {

bool IsTooLarge(const v1::PolicyReport& report) {
  const auto is_longer = [](const v1::DenialReport& denial) {
    return denial.policies().size() > api::kMaxReportedPoliciesBytes ||
           denial.nearest().size() > api::kMaxReportedNearestBytes;
  };
  return report.policies_size() > api::kMaxReportedPolicies ||
         static_cast<size_t>(report.denials_size()) > api::kMaxReportedDenials ||
         std::any_of(report.denials().begin(), report.denials().end(), is_longer);
}

bool IsTooLarge(const v1::SidecarReport& report) {
  return report.ByteSizeLong() > api::kMaxReportBytes ||
         report.feed().types_size() > api::kMaxReportedTypes ||
         report.dns().responses_size() > api::kMaxReportedRcodes ||
         report.dns().upstreams_size() > api::kMaxReportedUpstreams ||
         report.names().names_size() > api::kMaxReportedNames ||
         report.flows().flows_size() > api::kMaxReportedFlows || IsTooLarge(report.policy());
}

// What is shown to people as it is.
bool IsName(std::string_view text, size_t most = api::kMaxReportTextBytes) {
  return text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool IsText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

absl::Status CheckDenial(const v1::DenialReport& denial) {
  if (!IsName(denial.name()) || !IsName(denial.address())) {
    return InvalidArgument("a denial of what is no text");
  }
  if (!IsText(denial.policies()) || !IsText(denial.nearest())) {
    return InvalidArgument("a denial for a reason that is no text");
  }
  constexpr uint32_t kMaxPort = 65535;
  if (denial.port() > kMaxPort) return InvalidArgument("a denial at what is no port");
  return absl::OkStatus();
}

absl::Status CheckPolicy(const v1::PolicyReport& report) {
  for (const std::string& name : report.policies()) {
    if (!IsName(name, api::kMaxReportedPolicyNameBytes)) {
      return InvalidArgument("a policy in force whose name is no text");
    }
  }
  for (const v1::DenialReport& denial : report.denials()) {
    if (absl::Status status = CheckDenial(denial); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Brackets that are open at once outside of strings, at most.
size_t DepthOf(std::string_view json) {
  size_t open = 0;
  size_t most = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{')) {
      most = std::max(most, ++open);
    } else if (!in_string && (c == ']' || c == '}') && open > 0) {
      --open;
    }
  }
  return most;
}

}  // namespace

absl::Status CheckReport(const v1::SidecarReport& report) {
  if (IsTooLarge(report)) {
    return absl::ResourceExhaustedError("a report is larger than reports may be");
  }
  for (const v1::AskedName& name : report.names().names()) {
    if (!IsName(name.name())) return InvalidArgument("a name asked for that is no text");
  }
  for (const v1::Flow& flow : report.flows().flows()) {
    if (!IsName(flow.service()) || !IsName(flow.address())) {
      return InvalidArgument("a flow to what is no text");
    }
  }
  return CheckPolicy(report.policy());
}

absl::Status CheckAnswer(std::string_view json) {
  if (json.size() > api::kMaxAnswerBytes) {
    return absl::ResourceExhaustedError("an answer is larger than 1 MB");
  }
  // Whoever copies or writes a JSON value does so by recursion.
  if (DepthOf(json) > api::kMaxAnswerDepth) {
    return InvalidArgument("an answer nests deeper than {} brackets", api::kMaxAnswerDepth);
  }
  return absl::OkStatus();
}

void KeepAbsentParts(const v1::SidecarReport& before, v1::SidecarReport& report) {
  const auto& reflection = *report.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> parts;
  reflection.ListFields(before, &parts);
  for (const auto* part : parts) {
    if (reflection.HasField(report, part)) continue;
    reflection.MutableMessage(&report, part)->CopyFrom(reflection.GetMessage(before, part));
  }
}

}  // namespace portolan::xds
