// HTTP requests to a Kubernetes API server, any number at a time, on one event loop: the seam
// behind which the cluster begins. Tests replace it.
//
// A client knows where the server is and who it is itself; a request says only what is wanted.
// https://kubernetes.io/docs/reference/using-api/api-concepts/. Everything is called on the loop's
// thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace portolan {

struct ApiRequest {
  std::string method = "GET";
  std::string target;  // path and query: "/api/v1/services?limit=500"
  std::string body = {};
  std::string content_type = "application/json";  // of the body; unused without one
  // For the whole exchange. A watch ends by its own timeoutSeconds and has none.
  absl::Duration timeout = absl::Seconds(30);
  // No byte for this long: the connection is taken for dead. Infinite: never.
  absl::Duration silence = absl::InfiniteDuration();
};

struct ApiResponseHead {
  int status = 0;
  std::optional<absl::Duration> retry_after;  // where the header gives seconds
  std::string content_type;
};

class ApiClient {
 public:
  // Of one request. Any call may destroy the Exchange.
  class Listener {
   public:
    virtual ~Listener() = default;
    // The final response's; once, before any bytes. Any status is a head, 500 too.
    virtual void OnHead(const ApiResponseHead& head) = 0;
    // As they arrive, decompressed, cut anywhere.
    virtual void OnBytes(std::string_view bytes) = 0;
    // The last call, never from within Start. Ok: the body is whole. Otherwise there was no
    // answer, or its end is missing; the message says what failed and at which address.
    virtual void OnEnd(const absl::Status& status) = 0;
  };

  // A request under way; destroying it cancels it, and no call follows.
  class Exchange {
   public:
    virtual ~Exchange() = default;
  };

  virtual ~ApiClient() = default;
  // `listener` outlives the exchange.
  virtual std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) = 0;
};

}  // namespace portolan
