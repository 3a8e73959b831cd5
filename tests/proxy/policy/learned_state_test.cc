// What was learned outlives the sidecar, for as long as it would have been good.
#include "proxy/policy/learned_state.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "common/files.h"
#include "common/monotonic.h"
#include "portolan/v1/state.pb.h"
#include "proxy/feed/saved_state.h"
#include "tests/common/write_file.h"
#include "tests/policy/policies.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Entries = std::vector<LearnedAddresses::Entry>;

constexpr absl::Duration kGrace = absl::Seconds(60);
const BothClocks kThen{absl::Seconds(1000), absl::FromUnixSeconds(1'800'000'000)};

// Other monotonic time, as after a reboot.
BothClocks Later(absl::Duration passed) { return {absl::Seconds(50), kThen.wall + passed}; }

Entries Two() {
  return {{"api.example.com.", Ip("192.0.2.1"), kThen.monotonic + absl::Seconds(90),
           kThen.monotonic - absl::Seconds(5), 0},
          {"api.example.com.", Ip("2001:db8::1"), kThen.monotonic - absl::Seconds(10),
           kThen.monotonic - absl::Seconds(300), 2}};
}

std::string ErrorOf(const v1::LearnedState& state) {
  const auto entries = DecodeLearned(SealState(state.SerializeAsString()), kThen, kGrace);
  return entries.ok() ? "no error" : std::string(entries.status().message());
}

TEST(LearnedStateFile, EntriesAreAsGoodAsTheyWouldHaveBeen) {
  const auto read = DecodeLearned(EncodeLearned(Two(), kThen), Later(absl::Seconds(20)), kGrace);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_EQ((*read)[0].name, "api.example.com.");
  EXPECT_EQ((*read)[0].ip, Ip("192.0.2.1"));
  EXPECT_EQ((*read)[0].expires, absl::Seconds(50 + 70));
  EXPECT_EQ((*read)[0].last_used, absl::Seconds(50 - 25));
  EXPECT_EQ((*read)[1].ip, Ip("2001:db8::1"));
}

TEST(LearnedStateFile, WhatWasInUseIsGoodForTheGraceAndNothingIsLive) {
  const auto read = DecodeLearned(EncodeLearned(Two(), kThen), Later(absl::Hours(1)), kGrace);
  ASSERT_TRUE(read.ok());
  EXPECT_LT((*read)[0].expires, absl::Seconds(50));
  EXPECT_EQ((*read)[1].expires, absl::Seconds(50) + kGrace);
  EXPECT_EQ((*read)[1].live, 0u);
}

TEST(LearnedStateFile, AClockThatWentBackMakesNothingGoodForLonger) {
  const auto read = DecodeLearned(EncodeLearned(Two(), kThen), Later(-absl::Hours(24)), kGrace);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ((*read)[0].expires, absl::Seconds(50 + 90));
}

TEST(LearnedStateFile, WhatIsNoEntryIsAnError) {
  v1::LearnedState state;
  auto& address = *state.add_addresses();
  address.set_name("api.example.com.");
  address.set_ip("12345");
  EXPECT_THAT(ErrorOf(state), HasSubstr("5 bytes"));
  address.set_ip("1234");
  EXPECT_EQ(ErrorOf(state), "no error");
  address.set_name("no..name");
  EXPECT_NE(ErrorOf(state), "no error");
  address.set_name("a.example.");
  address.set_good_for_ms(INT64_MAX);
  address.set_unused_for_ms(INT64_MIN);
  state.set_written_unix_ms(INT64_MIN);
  EXPECT_EQ(ErrorOf(state), "no error");
  EXPECT_FALSE(DecodeLearned(SealState("\x0a"), kThen, kGrace).ok());
  EXPECT_FALSE(DecodeLearned("PORTOLAN", kThen, kGrace).ok());
}

class LearnedStateTest : public testing::Test {
 protected:
  // Until what is to come has come, or for long.
  template <typename F>
  void RunUntil(F&& done) {
    std::function<void()> look;
    int turns = 0;
    auto timer = loop_.AddTimer([&] {
      if (done() || ++turns == 1000) {
        loop_.Stop();
      } else {
        look();
      }
    });
    look = [&] { timer.Start(absl::Milliseconds(10)); };
    look();
    loop_.Run();
  }
  void Learn(LearnedAddresses& learned, std::string_view name, std::string_view ip) {
    learned.Add(Wire(name), Ip(ip), absl::Seconds(30), Monotonic());
  }
  static std::vector<std::string> Listed(const LearnedAddresses& learned) {
    std::vector<std::string> all;
    for (const auto& entry : learned.List(Monotonic())) all.push_back(entry.name);
    return all;
  }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/learned.state";
  EventLoop loop_;
};

TEST_F(LearnedStateTest, WhatWasLearnedIsThereAfterARestart) {
  LearnedAddresses before({});
  {
    LearnedState state(loop_, path_, before);
    Learn(before, "api.example.com", "192.0.2.1");
  }
  LearnedAddresses after({});
  LearnedState state(loop_, path_, after);
  EXPECT_THAT(Listed(after), ElementsAre("api.example.com."));
}

TEST_F(LearnedStateTest, WhatIsGoodForAConnectionAloneIsThereWhereItIsStoppedBeforeThatEnds) {
  LearnedAddresses before({.grace = absl::ZeroDuration()});
  {
    LearnedState state(loop_, path_, before);
    const absl::Duration then = Monotonic() - absl::Seconds(10);
    before.Add(Wire("api.example.com"), Ip("192.0.2.1"), absl::ZeroDuration(), then);
    const auto admission = before.Find(Ip("192.0.2.1"), then, [](const auto&) { return true; });
    ASSERT_NE(admission, 0u);
    state.Stop();
    before.Release(admission, Monotonic());
    state.Stop();
  }
  LearnedAddresses after({});
  LearnedState state(loop_, path_, after);
  EXPECT_THAT(Listed(after), ElementsAre("api.example.com."));
}

TEST_F(LearnedStateTest, ANewEntryIsSavedWithoutAnEnd) {
  LearnedAddresses learned({});
  LearnedState state(loop_, path_, learned);
  Learn(learned, "api.example.com", "192.0.2.1");
  RunUntil([&] { return std::filesystem::exists(path_); });
  LearnedAddresses other({});
  LearnedState read(loop_, path_, other);
  EXPECT_THAT(Listed(other), ElementsAre("api.example.com."));
}

TEST_F(LearnedStateTest, WithoutAnythingLearnedThereIsNoFile) {
  LearnedAddresses learned({});
  { LearnedState state(loop_, path_, learned); }
  EXPECT_FALSE(std::filesystem::exists(path_));
  { LearnedState state(loop_, "", learned); }
}

TEST_F(LearnedStateTest, AFileThatCannotBeUsedIsSetAsideAndTeachesNothing) {
  ASSERT_TRUE(WriteFile(path_, "not ours").ok());
  LearnedAddresses learned({});
  LearnedState state(loop_, path_, learned);
  EXPECT_THAT(Listed(learned), IsEmpty());
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
    files.push_back(entry.path().filename());
  }
  EXPECT_THAT(files, ElementsAre(StartsWith("learned.state.bad-")));
}

TEST_F(LearnedStateTest, WhatHasExpiredIsTakenAway) {
  LearnedAddresses learned({.grace = absl::ZeroDuration()});
  LearnedState state(loop_, "", learned);
  learned.Add(Wire("api.example.com"), Ip("192.0.2.1"), absl::ZeroDuration(), Monotonic());
  EXPECT_EQ(learned.size(), 1u);
  RunUntil([&] { return learned.size() == 0; });
  EXPECT_EQ(learned.size(), 0u);
}

}  // namespace
}  // namespace portolan::proxy
