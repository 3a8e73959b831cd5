#include "xds/dashboard/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/common/http/served.h"

namespace portolan::xds {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kListen = "GET /api/v1/events HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kHello = "event: hello\n";

// The next event, with what is before it, without the end of its chunk.
std::string Next(http::Client& client) {
  std::string text = client.Read("}\n\n\r\n");
  EXPECT_THAT(text, EndsWith("\n\n\r\n"));
  return text.substr(0, text.size() - std::min<size_t>(text.size(), 2));
}

class EventsTest : public ::testing::Test {
 protected:
  explicit EventsTest(Events::Options options = {.version = "0.1.0"})
      : options_(std::move(options)) {}

  void Change(uint64_t generation, const std::vector<std::string>& services,
              const std::vector<std::string>& endpoints = {}) {
    DirectoryChanges changes;
    changes.services.insert(services.begin(), services.end());
    changes.endpoints.insert(endpoints.begin(), endpoints.end());
    OnEvents([&](Events& events) { events.OnChanges(generation, changes); });
  }
  template <typename F>
  void OnEvents(F task) {
    served_.On([&](http::Server&) {
      task(*events_);
      return 0;
    });
  }
  double Metric(const std::string& sample) {
    MetricsPage page;
    page.AddSource([&](MetricFamilies& families) { events_->AddMetrics(families); });
    std::string text;
    OnEvents([&](Events&) { text = page.Render(); });
    const size_t at = text.find("\n" + sample + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + sample.size() + 2));
  }
  std::unique_ptr<http::Client> Listener() {
    auto client = std::make_unique<http::Client>(served_.address());
    client->Send(kListen);
    EXPECT_THAT(Next(*client), HasSubstr(kHello));
    return client;
  }

  const Events::Options options_;
  std::unique_ptr<Events> events_;
  http::Served served_{[this](http::Server& server) {
    events_ = std::make_unique<Events>(served_.loop(), server, options_);
  }};
};

TEST_F(EventsTest, AListenerIsGreetedThenToldWhatChangesAndWhoReports) {
  Change(7, {});
  http::Client client(served_.address());
  client.Send(kListen);
  EXPECT_THAT(Next(client),
              AllOf(HasSubstr("Content-Type: text/event-stream\r\n"),
                    HasSubstr("Cache-Control: no-store\r\n"),
                    EndsWith("event: hello\ndata: {\"generation\":7,\"version\":\"0.1.0\"}\n\n")));
  Change(8, {"default/backend"}, {"default/backend", "kube-system/kube-dns"});
  EXPECT_THAT(Next(client), EndsWith("event: change\ndata: {\"generation\":8,\"names\":["
                                     "\"default/backend\",\"kube-system/kube-dns\"]}\n\n"));
  OnEvents([](Events& events) { events.OnReport("default/frontend-1"); });
  EXPECT_THAT(Next(client),
              EndsWith("event: sidecars\ndata: {\"reported\":[\"default/frontend-1\"]}\n\n"));
}

TEST_F(EventsTest, WhatHappensBetweenTwoEventsIsMerged) {
  const auto client = Listener();
  OnEvents([](Events& events) {
    for (int i = 0; i < 1000; ++i) {
      DirectoryChanges changes;
      changes.endpoints.insert("default/backend-" + std::to_string(i % 3));
      events.OnChanges(static_cast<uint64_t>(i), changes);
      events.OnReport("default/frontend-1");
    }
  });
  EXPECT_THAT(Next(*client),
              EndsWith("event: change\ndata: {\"generation\":999,\"names\":[\"default/backend-0\","
                       "\"default/backend-1\",\"default/backend-2\"]}\n\n"));
  EXPECT_THAT(Next(*client),
              AllOf(HasSubstr("event: sidecars\n"), Not(HasSubstr("event: change"))));
  EXPECT_EQ(Metric("portolan_events_total{result=\"sent\"}"), 3);
}

TEST_F(EventsTest, MoreThanFiveHundredAreMany) {
  const auto client = Listener();
  std::vector<std::string> names;
  for (int i = 0; i <= 500; ++i) names.push_back("default/" + std::to_string(i));
  Change(1, names);
  EXPECT_THAT(Next(*client), EndsWith("data: {\"generation\":1,\"many\":true}\n\n"));
  names.pop_back();
  Change(2, names);
  EXPECT_THAT(Next(*client), HasSubstr("\"default/99\"]}"));
}

TEST_F(EventsTest, AChangeOfNeitherServicesNorEndpointsIsNone) {
  const auto client = Listener();
  DirectoryChanges changes;
  changes.pods.insert("default/frontend-1");
  OnEvents([&](Events& events) { events.OnChanges(1, changes); });
  Change(2, {"default/backend"});
  EXPECT_THAT(Next(*client), HasSubstr("\"generation\":2"));
  EXPECT_EQ(Metric("portolan_events_total{result=\"sent\"}"), 2);
}

TEST_F(EventsTest, BeyondTheMostListenersTheAnswerIs503UntilOneGoes) {
  std::vector<std::unique_ptr<http::Client>> clients;
  for (size_t i = 0; i < Events::kMostListeners; ++i) clients.push_back(Listener());
  EXPECT_THAT(http::Fetch(served_.address(), "GET", "/api/v1/events"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Retry-After: 10\r\n"),
                    HasSubstr("\"error\": \"64 listeners already")));
  EXPECT_EQ(Metric("portolan_events_total{result=\"refused\"}"), 1);
  EXPECT_EQ(Metric("portolan_events_listeners"), 64);
  clients.pop_back();
  ASSERT_TRUE(served_.Until(
      [](http::Server& server) { return server.connection_count() < Events::kMostListeners; }));
  Listener();
}

TEST_F(EventsTest, HeadIsNoListener) {
  EXPECT_THAT(http::Fetch(served_.address(), "HEAD", "/api/v1/events"),
              StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(Metric("portolan_events_listeners"), 0);
}

// Changes of 500 long names each, until the kernel takes no more for a peer that reads nothing.
TEST_F(EventsTest, ASlowListenerMissesNothingAndHoldsLittle) {
  const auto slow = Listener();
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) names.push_back(std::string(20000, 'x') + std::to_string(i));
  uint64_t generation = 0;
  while (Metric("portolan_events_total{result=\"held_back\"}") == 0 && generation < 1000) {
    Change(++generation, names);
  }
  ASSERT_LT(generation, 1000u);
  // Held now: this, and what comes after.
  Change(++generation, {"default/early"});
  Change(++generation, {"default/late"});
  // More than 500 together: all are to be looked at.
  EXPECT_THAT(slow->Read("\"many\":true}\n\n"),
              HasSubstr("event: change\ndata: {\"generation\":" + std::to_string(generation) +
                        ",\"many\":true}\n\n"));
}

class CommentedEvents : public EventsTest {
 protected:
  CommentedEvents() : EventsTest({.version = "0.1.0", .comment_every = absl::Milliseconds(20)}) {}
};

TEST_F(CommentedEvents, SilenceIsCommentedOn) {
  const auto client = Listener();
  EXPECT_EQ(client->Read(":\n\n\r\n"), "3\r\n:\n\n\r\n");
}

class ShortEvents : public EventsTest {
 protected:
  ShortEvents()
      : EventsTest({.version = "0.1.0",
                    .comment_every = absl::Milliseconds(20),
                    .longest = absl::Milliseconds(50)}) {}
};

TEST_F(ShortEvents, AListenerComesAgainAfterItsTime) {
  const auto client = Listener();
  EXPECT_THAT(client->Read("\r\n0\r\n\r\n"), EndsWith("0\r\n\r\n"));
  EXPECT_EQ(Metric("portolan_events_listeners"), 0);
}

}  // namespace
}  // namespace portolan::xds
