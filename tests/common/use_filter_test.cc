#include "common/use_filter.h"

#include <gtest/gtest.h>

#include <thread>

namespace portolan {
namespace {

TEST(UseFilter, HoldsWhatWasMarkedSinceTheLastTake) {
  UseFilter filter;
  filter.Mark(7);
  filter.Mark(7);
  filter.Mark(UseFilter::kBits - 1);
  const auto marked = filter.Take();
  EXPECT_TRUE(marked.Holds(7));
  EXPECT_TRUE(marked.Holds(UseFilter::kBits - 1));
  EXPECT_TRUE(marked.Holds(7 + UseFilter::kBits)) << "shares the bit";
  EXPECT_FALSE(marked.Holds(8));
  EXPECT_FALSE(filter.Take().Holds(7));
}

TEST(UseFilter, LosesNoMarkOfThreadsThatShareAWord) {
  UseFilter filter;
  const auto mark_every_second = [&](uint64_t first) {
    for (uint64_t i = first; i < 4096; i += 2) filter.Mark(i);
  };
  std::thread even([&] { mark_every_second(0); });
  mark_every_second(1);
  even.join();
  const auto marked = filter.Take();
  for (uint64_t i = 0; i < 4096; ++i) ASSERT_TRUE(marked.Holds(i)) << i;
}

}  // namespace
}  // namespace portolan
