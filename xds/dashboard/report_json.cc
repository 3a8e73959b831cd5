#include "xds/dashboard/report_json.h"

#include <utility>

#include "absl/time/time.h"
#include "directory/listing.h"
#include "xds/api/denial_words.h"

namespace portolan::xds {

using nlohmann::json;

json NamesJson(const v1::NamesReport& names) {
  json list = json::array();
  for (const v1::AskedName& name : names.names()) {
    list.push_back({{"name", name.name()},
                    {"service", name.service()},
                    {"queries", name.queries()},
                    {"nxdomain", name.nxdomain()},
                    {"searchList", name.search_list()},
                    {"lastAsked", TimeJson(absl::FromUnixSeconds(name.last_asked_unix_s()))}});
  }
  return {{"names", std::move(list)}, {"others", names.others()}};
}

json FlowsJson(const v1::FlowsReport& flows) {
  json list = json::array();
  for (const v1::Flow& flow : flows.flows()) {
    json one = {{"connections", flow.connections()},
                {"failures", flow.failures()},
                {"bytesUp", flow.bytes_up()},
                {"bytesDown", flow.bytes_down()},
                {"udpFlows", flow.udp_flows()},
                {"lastSeen", TimeJson(absl::FromUnixSeconds(flow.last_seen_unix_s()))}};
    one[flow.service().empty() ? "address" : "service"] =
        flow.service().empty() ? flow.address() : flow.service();
    list.push_back(std::move(one));
  }
  return {{"flows", std::move(list)}, {"others", flows.others()}};
}

json DenialJson(const v1::DenialReport& denial) {
  return {{"what", api::Word(denial.what())},
          {"mode", denial.audit() ? "audit" : "enforced"},
          {"name", denial.name()},
          {"address", denial.address()},
          {"port", denial.port()},
          {"policies", denial.policies()},
          {"nearest", denial.nearest()},
          {"count", denial.count()},
          {"last", TimeJson(absl::FromUnixSeconds(denial.last_unix_s()))}};
}

json PolicyJson(const v1::PolicyReport& policy, PolicyLists lists) {
  json out = {{"known", policy.known()},
              {"partlyEnforced", policy.partly_enforced()},
              {"denied", policy.denied()},
              {"audited", policy.audited()}};
  if (lists == PolicyLists::kLeftOut) return out;
  out["policies"] = json::array();
  for (const std::string& name : policy.policies()) out["policies"].push_back(name);
  out["otherPolicies"] = policy.other_policies();
  out["denials"] = json::array();
  for (const v1::DenialReport& denial : policy.denials()) {
    out["denials"].push_back(DenialJson(denial));
  }
  return out;
}

json AmplificationJson(const v1::AmplificationReport& amplification) {
  return {{"searchListQueries", amplification.search_list_queries()},
          {"upstreamQueries", amplification.upstream_queries()},
          {"savedByAutopath", amplification.saved_by_autopath()},
          {"savedByTrailingDot", amplification.saved_by_trailing_dot()}};
}

}  // namespace portolan::xds
