#include "common/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace portolan {
namespace {

TEST(MetricsPage, ShowsSamplesOfAllSourcesUnderOneFamily) {
  Counter one, two;
  one.Add();
  two.Add(41);
  MetricsPage page;
  for (const auto& source : {std::pair{"0", &one}, std::pair{"1", &two}}) {
    page.AddSource([source](MetricFamilies& families) {
      AddCounterSample(families, "portolan_test_total", "What it counts.",
                       {{"worker", source.first}}, static_cast<double>(source.second->value()));
    });
  }
  const std::string text = page.Render();
  EXPECT_THAT(text, testing::HasSubstr("# TYPE portolan_test_total counter"));
  EXPECT_THAT(text, testing::HasSubstr("portolan_test_total{worker=\"0\"} 1\n"));
  EXPECT_THAT(text, testing::HasSubstr("portolan_test_total{worker=\"1\"} 41\n"));
}

TEST(MetricFamilies, SamplesWithTheSameLabelsAddUp) {
  MetricFamilies families;
  for (const double value : {1.0, 2.0}) {
    AddCounterSample(families, "portolan_test_total", "", {{"a", "x"}, {"b", "y"}}, value);
    AddGaugeSample(families, "portolan_test", "", {}, value);
  }
  AddCounterSample(families, "portolan_test_total", "", {{"a", "x"}, {"b", "z"}}, 4);
  ASSERT_EQ(families[0].metric.size(), 2u);
  EXPECT_EQ(families[0].metric[0].counter.value, 3);
  EXPECT_EQ(families[0].metric[1].counter.value, 4);
  ASSERT_EQ(families[1].metric.size(), 1u);
  EXPECT_EQ(families[1].metric[0].gauge.value, 3);
}

TEST(MetricFamilies, WhatAllWorkersSayTheSameOfDoesNotAddUp) {
  MetricFamilies families;
  for (int worker = 0; worker < 2; ++worker) SetGaugeSample(families, "portolan_test", "", {}, 7);
  ASSERT_EQ(families[0].metric.size(), 1u);
  EXPECT_EQ(families[0].metric[0].gauge.value, 7);
}

TEST(MetricFamilies, HistogramsWithTheSameLabelsAddUp) {
  constexpr double kBounds[] = {1, 10};
  Histogram one(kBounds), two(kBounds);
  one.Observe(0.5, 2);
  one.Observe(7);
  two.Observe(100);
  MetricsPage page;
  page.AddSource([&](MetricFamilies& families) {
    for (const Histogram* histogram : {&one, &two}) {
      AddHistogramSample(families, "portolan_test_seconds", "", {{"a", "x"}}, *histogram);
    }
  });
  const std::string text = page.Render();
  for (const char* line :
       {"# TYPE portolan_test_seconds histogram\n",
        "portolan_test_seconds_bucket{a=\"x\",le=\"1\"} 2\n",
        "portolan_test_seconds_bucket{a=\"x\",le=\"10\"} 3\n",
        "portolan_test_seconds_bucket{a=\"x\",le=\"+Inf\"} 4\n",
        "portolan_test_seconds_sum{a=\"x\"} 108\n", "portolan_test_seconds_count{a=\"x\"} 4\n"}) {
    EXPECT_THAT(text, testing::HasSubstr(line));
  }
}

}  // namespace
}  // namespace portolan
