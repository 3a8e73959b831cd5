#include "directory/port_endpoints.h"

#include <gtest/gtest.h>

namespace portolan {
namespace {

TEST(EndpointsForPort, AnEndpointInTwoSlicesCountsOnceAndIsReadyWhereOneSaysSo) {
  const auto slice = [](EndpointConditions conditions) {
    auto made = std::make_shared<EndpointSlice>();
    made->ports = {{"http", Protocol::kTcp, 80}};
    Endpoint& endpoint = made->endpoints.emplace_back();
    endpoint.addresses = {*IpAddress::Parse("10.42.0.1")};
    endpoint.conditions = conditions;
    return made;
  };
  const std::vector<std::shared_ptr<const EndpointSlice>> slices = {
      slice({false, false, false}), slice({}), slice({false, true, true})};
  const auto all = EndpointsForPort(slices, "http", Protocol::kTcp);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0].endpoint->conditions.ready);
}

}  // namespace
}  // namespace portolan
