#include "proxy/reporting/search_walks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace portolan::proxy {
namespace {

constexpr uint64_t kWalk = 0x123456789abcdef0;
constexpr uint64_t kInTheSamePlace = kWalk + (uint64_t{1} << 40);

TEST(SearchWalks, StepsInVainAreThereAtTheEnd) {
  SearchWalks walks;
  EXPECT_FALSE(walks.IsOnItsWay(kWalk, 100));
  for (int i = 0; i < 3; ++i) walks.Step(kWalk, 100);
  EXPECT_TRUE(walks.IsOnItsWay(kWalk, 100));
  EXPECT_EQ(walks.End(kWalk, 3, 101), 3u);
  EXPECT_EQ(walks.End(kWalk, 3, 101), 0u);
}

TEST(SearchWalks, WhetherThereAreAnyIsKnownAtOnce) {
  SearchWalks walks;
  EXPECT_FALSE(walks.AnyIsOnItsWay(100));
  walks.Step(kWalk, 100);
  EXPECT_TRUE(walks.AnyIsOnItsWay(100 + SearchWalks::kPatience));
  EXPECT_FALSE(walks.AnyIsOnItsWay(101 + SearchWalks::kPatience));
}

TEST(SearchWalks, TwoLookUpsAtOnceEachTakeTheirOwn) {
  SearchWalks walks;
  for (int i = 0; i < 6; ++i) walks.Step(kWalk, 100);
  EXPECT_EQ(walks.End(kWalk, 3, 100), 3u);
  EXPECT_EQ(walks.End(kWalk, 3, 100), 3u);
  EXPECT_EQ(walks.End(kWalk, 3, 100), 0u);
}

TEST(SearchWalks, OneThatWasGivenUpIsForgotten) {
  SearchWalks walks;
  walks.Step(kWalk, 100);
  EXPECT_TRUE(walks.IsOnItsWay(kWalk, 100 + SearchWalks::kPatience));
  EXPECT_FALSE(walks.IsOnItsWay(kWalk, 101 + SearchWalks::kPatience));
  EXPECT_EQ(walks.End(kWalk, 3, 101 + SearchWalks::kPatience), 0u);
  walks.Step(kWalk, 200);
  EXPECT_EQ(walks.End(kWalk, 3, 200), 1u);
}

TEST(SearchWalks, ANameThatTakesAnothersPlaceHasNoneOfItsSteps) {
  SearchWalks walks;
  walks.Step(kWalk, 100);
  walks.Step(kInTheSamePlace, 100);
  EXPECT_EQ(walks.End(kWalk, 3, 100), 0u);
  EXPECT_EQ(walks.End(kInTheSamePlace, 3, 100), 1u);
}

TEST(SearchWalks, ALookUpThatNeverEndsDoesNotOverflow) {
  SearchWalks walks;
  for (int i = 0; i < 1000; ++i) walks.Step(kWalk, 0xffffffff);
  EXPECT_EQ(walks.End(kWalk, 0xffffffff, 0xffffffff), 255u);
  EXPECT_FALSE(walks.IsOnItsWay(kInTheSamePlace, 0xffffffff));
}

TEST(SearchWalks, NoStepIsTakenTwiceByWorkersThatMeet) {
  SearchWalks walks;
  std::atomic<uint64_t> taken{0};
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 2; ++worker) {
    workers.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        walks.Step(kWalk, 100);
        taken += walks.End(kWalk, 1, 100);
      }
    });
  }
  for (auto& worker : workers) worker.join();
  taken += walks.End(kWalk, 255, 100);
  EXPECT_EQ(taken, 40'000u);
}

}  // namespace
}  // namespace portolan::proxy
