// One request to an API server with its whole answer: for objects that are read and written one by
// one. Lists and watches are a Reflector's.
//
// On the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/document/json.h"
#include "common/kubernetes/api_client.h"

namespace portolan {

class ApiCall : private ApiClient::Listener {
 public:
  // No object in etcd is larger than 1.5 MB.
  static constexpr size_t kMaxAnswerBytes = 4u << 20;

  // The body of an answer of 200 to 299. Otherwise kNotFound (404), kAlreadyExists or kAborted
  // (409: it was created, or changed, meanwhile), kInvalidArgument (422), kPermissionDenied (401,
  // 403), else kUnavailable; the message begins with what was asked:
  // "get secrets portolan-ca: 403: ...".
  using Done = std::function<void(const absl::StatusOr<std::string>& body)>;

  // `client` outlives it.
  explicit ApiCall(ApiClient& client) : client_(client) {}
  ApiCall(const ApiCall&) = delete;
  ApiCall& operator=(const ApiCall&) = delete;

  // `what` names it in errors. `done` is called once, never from within Start, unless the call is
  // destroyed or started again, which `done` may do.
  void Start(ApiRequest request, std::string what, Done done);

 private:
  void OnHead(const ApiResponseHead& head) override { status_ = head.status; }
  void OnBytes(std::string_view bytes) override;
  void OnEnd(const absl::Status& status) override;
  absl::StatusOr<std::string> Result(const absl::Status& status);

  ApiClient& client_;
  std::string what_;
  Done done_;
  int status_ = 0;
  std::string body_;
  JsonReader json_;
  std::unique_ptr<ApiClient::Exchange> exchange_;
};

}  // namespace portolan
