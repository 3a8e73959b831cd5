#include "xds/dashboard/report_json.h"

#include <gtest/gtest.h>

namespace portolan::xds {
namespace {

using nlohmann::json;

TEST(ReportJson, NamesAskedForAreShownAsReported) {
  v1::NamesReport names;
  names.set_others(9);
  v1::AskedName& name = *names.add_names();
  name.set_name("default/backend");
  name.set_service(true);
  name.set_queries(4);
  name.set_nxdomain(3);
  name.set_search_list(2);
  name.set_last_asked_unix_s(1'700'000'000);
  EXPECT_EQ(NamesJson(names), json::parse(R"({"others": 9, "names": [{
    "name": "default/backend", "service": true, "queries": 4, "nxdomain": 3, "searchList": 2,
    "lastAsked": "2023-11-14T22:13:20.000Z"}]})"));
}

TEST(ReportJson, AFlowGoesToAServiceOrToAnAddress) {
  v1::FlowsReport flows;
  flows.set_others(1);
  v1::Flow& service = *flows.add_flows();
  service.set_service("default/backend");
  service.set_connections(1);
  service.set_failures(2);
  service.set_bytes_up(3);
  service.set_bytes_down(4);
  service.set_last_seen_unix_s(1'700'000'000);
  v1::Flow& address = *flows.add_flows();
  address.set_address("192.0.2.1");
  address.set_udp_flows(5);
  EXPECT_EQ(FlowsJson(flows), json::parse(R"({"others": 1, "flows": [
    {"service": "default/backend", "connections": 1, "failures": 2, "bytesUp": 3, "bytesDown": 4,
     "udpFlows": 0, "lastSeen": "2023-11-14T22:13:20.000Z"},
    {"address": "192.0.2.1", "connections": 0, "failures": 0, "bytesUp": 0, "bytesDown": 0,
     "udpFlows": 5, "lastSeen": null}]})"));
}

TEST(ReportJson, AmplificationIsFourNumbers) {
  v1::AmplificationReport amplification;
  amplification.set_search_list_queries(1);
  amplification.set_upstream_queries(2);
  amplification.set_saved_by_autopath(3);
  amplification.set_saved_by_trailing_dot(4);
  EXPECT_EQ(AmplificationJson(amplification), json::parse(R"({"searchListQueries": 1,
    "upstreamQueries": 2, "savedByAutopath": 3, "savedByTrailingDot": 4})"));
}

}  // namespace
}  // namespace portolan::xds
