// An ApiClient whose server is the test: it sees what is asked for and says what comes back.
#pragma once

#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/event_loop.h"
#include "common/kubernetes/api_client.h"

namespace portolan::test {

class ScriptedApi : public ApiClient {
 public:
  // One request, and the answer to it. What is said after the other side let go is not heard.
  class Asked {
   public:
    Asked(ApiRequest request, Listener& listener)
        : request_(std::move(request)), listener_(&listener) {}

    const std::string& target() const { return request_.target; }
    const ApiRequest& request() const { return request_; }
    bool open() const { return listener_ != nullptr; }

    Asked& Head(int status = 200, std::optional<absl::Duration> retry_after = {}) {
      if (open()) listener_->OnHead({status, retry_after, "application/json"});
      return *this;
    }
    Asked& Bytes(std::string_view bytes) {
      if (open()) listener_->OnBytes(bytes);
      return *this;
    }
    void End(const absl::Status& status = absl::OkStatus()) {
      if (open()) listener_->OnEnd(status);
    }
    // A whole answer.
    void Answer(int status, std::string_view body) {
      Head(status);
      Bytes(body);
      End();
    }

   private:
    friend class ScriptedApi;
    ApiRequest request_;
    Listener* listener_;
  };

  std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) override {
    asked_.push_back(std::make_shared<Asked>(std::move(request), listener));
    return std::make_unique<Open>(asked_.back());
  }

  size_t count() const { return asked_.size(); }
  Asked& operator[](size_t at) { return *asked_[at]; }
  Asked& last() { return *asked_.back(); }
  // The one that is open for a path that ends so; the test is over if there is none.
  Asked& For(std::string_view path) {
    for (auto at = asked_.rbegin(); at != asked_.rend(); ++at) {
      const std::string& target = (*at)->target();
      if ((*at)->open() && target.substr(0, target.find('?')).ends_with(path)) return **at;
    }
    std::cerr << "nobody asks for " << path << std::endl;
    std::abort();
  }

 private:
  class Open : public Exchange {
   public:
    explicit Open(std::shared_ptr<Asked> asked) : asked_(std::move(asked)) {}
    ~Open() override { asked_->listener_ = nullptr; }

   private:
    const std::shared_ptr<Asked> asked_;
  };

  std::vector<std::shared_ptr<Asked>> asked_;
};

inline void RunFor(EventLoop& loop, absl::Duration duration) {
  auto timer = loop.AddTimer([&loop] { loop.Stop(); });
  timer.Start(duration);
  loop.Run();
}

// Runs the loop until `done`, at most five seconds.
inline bool Until(EventLoop& loop, const std::function<bool()>& done) {
  const absl::Time end = absl::Now() + absl::Seconds(5);
  while (!done()) {
    if (absl::Now() > end) return false;
    RunFor(loop, absl::Milliseconds(1));
  }
  return true;
}

}  // namespace portolan::test
