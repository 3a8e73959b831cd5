#include "ctl/analyze/analyze.h"

#include <algorithm>
#include <tuple>

namespace portolan::ctl::analyze {

std::string_view WordOf(Severity severity) {
  return severity == Severity::kError ? "error" : "warning";
}

std::vector<Finding> Analyze(const Objects& objects) {
  std::vector<Finding> findings;
  for (const Fault& fault : objects.faults) {
    if (!objects.Judges(fault.object.ns)) continue;
    findings.push_back({"not-valid", Severity::kError, fault.object.ToString(), fault.object.place,
                        fault.what,
                        "The control plane leaves it out; kubectl apply --dry-run=server tells "
                        "whether the API server takes it"});
  }
  CheckServices(objects, findings);
  CheckExternalNames(objects, findings);
  CheckPods(objects, findings);
  CheckPolicies(objects, findings);
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.place.file, a.place.line, a.object, a.code) <
           std::tie(b.place.file, b.place.line, b.object, b.code);
  });
  return findings;
}

}  // namespace portolan::ctl::analyze
