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

}  // namespace
}  // namespace portolan
