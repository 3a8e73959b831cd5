#include "ctl/moment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status.h"

namespace portolan::ctl {
namespace {

using ::testing::HasSubstr;

class Moment : public ::testing::Test {
 protected:
  // 15:00 in a zone an hour east of Greenwich.
  const absl::TimeZone zone = absl::FixedTimeZone(3600);
  const absl::Time now = absl::FromCivil(absl::CivilSecond(2026, 11, 26, 15, 0, 0), zone);

  std::string Parsed(const std::string& text) {
    const auto time = ParseMoment(text, now, zone);
    return time.ok() ? ApiTime(*time) : std::string(Message(time.status()));
  }
};

TEST_F(Moment, IsATimeOfToday) {
  EXPECT_EQ(Parsed("14:03:05"), "2026-11-26T13:03:05.000Z");
  EXPECT_EQ(Parsed("14:03"), "2026-11-26T13:03:00.000Z");
  EXPECT_EQ(Parsed("14:03:05.25"), "2026-11-26T13:03:05.250Z");
}

TEST_F(Moment, IsAWholeTimeWithItsZone) {
  EXPECT_EQ(Parsed("2026-11-23T14:03:05Z"), "2026-11-23T14:03:05.000Z");
  EXPECT_EQ(Parsed("2026-11-23T14:03:05.5+02:00"), "2026-11-23T12:03:05.500Z");
}

TEST_F(Moment, IsADurationAgo) {
  EXPECT_EQ(Parsed("5m"), "2026-11-26T13:55:00.000Z");
  EXPECT_EQ(Parsed("1h30m"), "2026-11-26T12:30:00.000Z");
}

TEST_F(Moment, IsNotStillToCome) {
  EXPECT_THAT(Parsed("23:00"), HasSubstr("is still to come today"));
}

TEST_F(Moment, WhatIsSaidOfYesterdayIsAMoment) {
  const std::string message = Parsed("23:00");
  const size_t say = message.find("say ") + 4;
  EXPECT_EQ(Parsed(message.substr(say, message.find(',', say) - say)), "2026-11-25T22:00:00.000Z");
}

TEST_F(Moment, WhatIsNoneIsSaidWithHowTheyAreWritten) {
  for (const char* text : {"", "noon", "-5m", "25:00", "2026-11-23"}) {
    EXPECT_THAT(Parsed(text), HasSubstr("is no moment: 14:03:05 (today)")) << text;
  }
}

}  // namespace
}  // namespace portolan::ctl
