// A loop, a client on it, and what its requests come to.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "common/kubernetes/curl_client.h"
#include "common/status.h"

namespace portolan::test {

// Access that a test changes as it goes.
class FixedAccess : public AccessSource {
 public:
  explicit FixedAccess(Access& access) : access_(access) {}
  void Get(Take take) override { take(std::make_shared<const Access>(access_)); }
  void OnUnauthorized(const Access&) override { ++refusals; }

  int refusals = 0;

 private:
  Access& access_;
};

struct Call : ApiClient::Listener {
  void OnHead(const ApiResponseHead& got) override {
    ++heads;
    head = got;
    if (on_head) on_head();
  }
  void OnBytes(std::string_view bytes) override {
    body += bytes;
    if (on_bytes) on_bytes();
  }
  void OnEnd(const absl::Status& status) override {
    end = status;
    if (on_end) on_end();
  }
  bool ended() const { return end.has_value(); }
  std::string fault() const { return end.has_value() ? std::string(Message(*end)) : "not ended"; }

  int heads = 0;
  ApiResponseHead head;
  std::string body;
  std::optional<absl::Status> end;
  std::function<void()> on_head, on_bytes, on_end;
  std::unique_ptr<ApiClient::Exchange> exchange;
};

class ApiCalls : public ::testing::Test {
 protected:
  void MakeClient() {
    auto source = std::make_unique<FixedAccess>(access);
    source_ = source.get();
    client = std::make_unique<CurlClient>(loop, std::move(source), "portolan-control/test");
  }
  void TearDown() override {
    calls.clear();
    client.reset();
  }

  Call& Start(ApiRequest request) {
    if (client == nullptr) MakeClient();
    Call& call = calls.emplace_back();
    call.exchange = client->Start(std::move(request), call);
    return call;
  }
  // To its end.
  Call& Fetch(ApiRequest request) {
    Call& call = Start(std::move(request));
    RunUntil([&] { return call.ended(); });
    return call;
  }
  void RunUntil(const std::function<bool()>& done) {
    const absl::Time give_up = absl::Now() + absl::Seconds(20);
    EventLoop::Timer look;
    look = loop.AddTimer([&] {
      if (done() || absl::Now() > give_up) return loop.Stop();
      look.Start(absl::Milliseconds(1));
    });
    look.Start(absl::ZeroDuration());
    loop.Run();
    EXPECT_TRUE(done());
  }
  double Metric(const std::string& name, const std::string& label = "") const {
    MetricFamilies families;
    client->AddMetrics(families);
    for (const auto& family : families) {
      if (family.name != name) continue;
      for (const auto& sample : family.metric) {
        if (label.empty() || sample.label[0].value == label) return sample.counter.value;
      }
    }
    return -1;
  }

  EventLoop loop;
  Access access;
  FixedAccess* source_ = nullptr;
  std::unique_ptr<CurlClient> client;
  std::deque<Call> calls;
};

}  // namespace portolan::test
