#include "common/kubernetes/api_call.h"

#include <utility>

#include "common/kubernetes/api_status.h"
#include "common/status.h"

namespace portolan {
namespace {

absl::StatusCode CodeOf(const ApiStatus& answer) {
  switch (answer.code) {
    case 401:
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return answer.reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists
                                              : absl::StatusCode::kAborted;
    case 422:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

void ApiCall::Start(ApiRequest request, std::string what, Done done) {
  what_ = std::move(what);
  done_ = std::move(done);
  status_ = 0;
  body_.clear();
  exchange_ = client_.Start(std::move(request), *this);
}

void ApiCall::OnBytes(std::string_view bytes) {
  // One byte more says that there were too many.
  body_.append(bytes.substr(0, kMaxAnswerBytes + 1 - body_.size()));
}

void ApiCall::OnEnd(const absl::Status& status) {
  const absl::StatusOr<std::string> result = Result(status);
  const Done done = std::move(done_);
  done(result);
}

absl::StatusOr<std::string> ApiCall::Result(const absl::Status& status) {
  if (!status.ok()) {
    return absl::UnavailableError(fmt::format("{}: {}", what_, Message(status)));
  }
  if (status_ >= 200 && status_ < 300) {
    if (body_.size() <= kMaxAnswerBytes) return std::move(body_);
    return absl::UnavailableError(fmt::format("{}: more than {} bytes", what_, kMaxAnswerBytes));
  }
  const ApiStatus answer = ReadApiStatus(json_, status_, std::move(body_));
  return absl::Status(CodeOf(answer),
                      fmt::format("{}: {}: {}", what_, answer.code, answer.message));
}

}  // namespace portolan
