#include "proxy/forwarder/kept_datagrams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kNow = absl::Hours(1);

UdpFlowKey Key(uint16_t port) {
  const IpAddress ip = *IpAddress::Parse("10.42.0.1");
  return {{ip, port}, {ip, 53}};
}

bool Keep(KeptDatagrams& kept, uint16_t port, std::string_view payload) {
  return kept.Keep(Key(port), std::as_bytes(std::span(payload)), kNow);
}

std::vector<std::string> Take(KeptDatagrams& kept, uint16_t port) {
  std::vector<std::string> taken;
  kept.Take(Key(port), [&](std::span<const std::byte> payload) {
    taken.emplace_back(reinterpret_cast<const char*>(payload.data()), payload.size());
  });
  return taken;
}

TEST(KeptDatagrams, AFlowsAreTakenInOrderAndThoseOfOthersStay) {
  KeptDatagrams kept;
  for (const char* payload : {"one", "", "three"}) {
    EXPECT_TRUE(Keep(kept, 1, payload));
    EXPECT_TRUE(Keep(kept, 2, std::string("other ") + payload));
  }
  EXPECT_THAT(Take(kept, 1), ElementsAre("one", "", "three"));
  EXPECT_THAT(Take(kept, 1), IsEmpty());
  EXPECT_TRUE(Keep(kept, 1, "again"));
  EXPECT_THAT(Take(kept, 2), ElementsAre("other one", "other ", "other three"));
  EXPECT_THAT(Take(kept, 1), ElementsAre("again"));
  EXPECT_TRUE(kept.flows().empty());
}

TEST(KeptDatagrams, AFlowHasSoManyAtMost) {
  KeptDatagrams kept;
  for (size_t i = 0; i < KeptDatagrams::kMostOfFlow; ++i) EXPECT_TRUE(Keep(kept, 1, "x"));
  EXPECT_FALSE(Keep(kept, 1, "x"));
  EXPECT_EQ(Take(kept, 1).size(), KeptDatagrams::kMostOfFlow);
}

TEST(KeptDatagrams, ThereAreSoManyFlowsAtMost) {
  KeptDatagrams kept;
  const auto most = static_cast<uint16_t>(KeptDatagrams::kMostFlows);
  for (uint16_t i = 0; i < most; ++i) EXPECT_TRUE(Keep(kept, i, "x"));
  EXPECT_FALSE(Keep(kept, most, "x"));
  EXPECT_TRUE(Keep(kept, 0, "x"));
}

TEST(KeptDatagrams, TheyHaveSoManyBytesAtMostAndThoseOfWhatWasTakenAgain) {
  KeptDatagrams kept;
  const std::string large(KeptDatagrams::kMostBytes / 16, 'x');
  for (uint16_t i = 0; i < 16; ++i) EXPECT_TRUE(Keep(kept, i, large));
  EXPECT_FALSE(Keep(kept, 16, "x"));
  EXPECT_EQ(kept.flows().size(), 16u);
  EXPECT_THAT(Take(kept, 3), ElementsAre(large));
  EXPECT_TRUE(Keep(kept, 16, large));
  EXPECT_THAT(Take(kept, 16), ElementsAre(large));
}

}  // namespace
}  // namespace portolan::proxy
