#include "dns/plugins/errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <re2/re2.h>
#include <unistd.h>

#include <sstream>

#include "common/fd.h"
#include "dns/corefile/parser.h"
#include "dns/wire/reply.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kTimedOut = "no upstream answered in time";

// One worker's `errors` and what it prints.
class ErrorsTest : public testing::Test {
 protected:
  void Start(absl::Duration period, ErrorPattern::First first = ErrorPattern::First::kCounted) {
    auto patterns = std::make_shared<ErrorPatterns>();
    patterns->push_back(std::make_unique<ErrorPattern>());
    ErrorPattern& pattern = *patterns->back();
    pattern.period = period;
    pattern.regexp = std::make_unique<const re2::RE2>("^read udp .* i/o timeout$");
    pattern.level = "WARNING";
    pattern.first = first;
    patterns_ = patterns;
    errors_.emplace(patterns_, loop_, *output_);
  }

  void Fail(std::string_view reason, wire::Rcode rcode = wire::Rcode::kServFail) {
    Exchange& exchange = clients_.Make(test::MakeQuery("Example.org", wire::type::kA)).exchange();
    exchange.set_reply_bytes(wire::WriteEmptyReply(exchange.query(), exchange.room(), rcode));
    if (!reason.empty()) exchange.AddExtendedError(wire::ExtendedError::kOther, reason);
    exchange.set_answered_by_upstream(answered_by_upstream_);
    errors_->OnReply(exchange);
  }

  std::vector<std::string> Lines() {
    errors_.reset();
    output_.reset();
    write_.Reset();
    std::string all;
    char text[4096];
    for (ssize_t n; (n = ::read(read_.get(), text, sizeof text)) > 0;) {
      all.append(text, static_cast<size_t>(n));
    }
    std::vector<std::string> lines;
    std::istringstream in(all);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  void SetUp() override {
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    read_ = Fd(fds[0]);
    write_ = Fd(fds[1]);
    output_.emplace(write_.get());
  }

  bool answered_by_upstream_ = false;
  Fd read_, write_;
  EventLoop loop_;
  test::Clients clients_;
  std::optional<LineOutput> output_;
  std::shared_ptr<const ErrorPatterns> patterns_;
  std::optional<Errors> errors_;
};

TEST_F(ErrorsTest, SaysWhatCoreDnsWouldSay) {
  Start(absl::Hours(1));
  Fail("");
  Fail("the cluster's state is gone");
  Fail("", wire::Rcode::kNxDomain);
  EXPECT_THAT(Lines(),
              ElementsAre("[ERROR] plugin/errors: 2 example.org. A: no plugin made a reply",
                          "[ERROR] plugin/errors: 2 example.org. A: the cluster's state is "
                          "gone"));
}

TEST_F(ErrorsTest, AServfailThatAnUpstreamSaidIsNone) {
  Start(absl::Hours(1));
  answered_by_upstream_ = true;
  Fail("");
  EXPECT_THAT(Lines(), IsEmpty());
}

TEST_F(ErrorsTest, ThoseThatMatchAreToldInOneLineWhenThePeriodEnds) {
  Start(absl::Milliseconds(1));
  for (int i = 0; i < 3; ++i) Fail(kTimedOut);
  test::RunUntil(loop_, [this] { return (*patterns_)[0]->count == 0; });
  Fail(kTimedOut);
  EXPECT_THAT(Lines(), ElementsAre("[WARNING] plugin/errors: 3 errors like '^read udp .* i/o "
                                   "timeout$' occurred in last 1ms",
                                   "[WARNING] plugin/errors: 1 errors like '^read udp .* i/o "
                                   "timeout$' occurred in last 1ms"));
}

TEST_F(ErrorsTest, TheFirstMayBeShownAtOnce) {
  Start(absl::Hours(1), ErrorPattern::First::kShown);
  Fail(kTimedOut);
  Fail(kTimedOut);
  EXPECT_THAT(
      Lines(),
      ElementsAre("[WARNING] plugin/errors: 2 example.org. A: read udp from every upstream: "
                  "i/o timeout",
                  HasSubstr("2 errors like")));
}

std::string ErrorOf(std::string_view block) {
  auto corefile =
      corefile::ParseCorefile(". {\n errors {\n" + std::string(block) + "\n}\n}", "Corefile", {});
  EXPECT_TRUE(corefile.ok()) << corefile.status();
  std::vector<std::string> notes;
  HttpSettings http;
  LoadOptions options;
  FollowedFiles followed;
  LoadContext context(options, {}, notes, http, followed);
  return std::string(LoadErrors(corefile->blocks[0].directives[0], context).message());
}

TEST(ErrorsConfig, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(ErrorOf("stacktrace\nconsolidate 30s \".*\" warning show_first"), "");
  EXPECT_EQ(ErrorOf("consolidate 30s \".*\" warnin"),
            "Corefile:3:22: unknown word 'warnin' in errors, did you mean 'warning'?");
  EXPECT_EQ(ErrorOf("consolidate soon \".*\""),
            "Corefile:3:13: 'soon' is not a duration such as 5s or 1m30s");
  EXPECT_THAT(ErrorOf("consolidate 30s \"(\""), HasSubstr("Corefile:3:17: '(': missing )"));
  EXPECT_EQ(ErrorOf("consolidat 30s x"),
            "Corefile:3:1: unknown option 'consolidat' of errors, did you mean 'consolidate'?");
}

}  // namespace
}  // namespace portolan::dns
