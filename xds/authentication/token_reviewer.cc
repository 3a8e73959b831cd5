#include "xds/authentication/token_reviewer.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "xds/authentication/token_claims.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr char kPath[] = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr std::string_view kServiceAccount = "system:serviceaccount:";
constexpr char kPodName[] = "authentication.kubernetes.io/pod-name";
constexpr char kPodUid[] = "authentication.kubernetes.io/pod-uid";
constexpr size_t kMaxAnswerBytes = 256u << 10;

std::string Body(const std::string& token) {
  return json({{"apiVersion", "authentication.k8s.io/v1"},
               {"kind", "TokenReview"},
               {"spec", {{"token", token}, {"audiences", {kAudience}}}}})
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

// What lies at `path`, or null.
json At(const json& object, std::initializer_list<const char*> path) {
  const json* at = &object;
  for (const char* name : path) {
    const auto found = at->find(name);
    if (!at->is_object() || found == at->end()) return nullptr;
    at = &*found;
  }
  return *at;
}

std::string String(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

// The only one of a list.
std::string Only(const json& list) {
  return list.is_array() && list.size() == 1 ? String(list[0]) : std::string();
}

// Of a Status object, or of plain text.
std::string MessageOf(const std::string& body) {
  constexpr size_t kMost = 300;
  std::string message = String(At(json::parse(body, nullptr, false), {"message"}));
  if (message.empty()) message = body.substr(0, kMost);
  while (!message.empty() && message.back() == '\n') message.pop_back();
  return message;
}

}  // namespace

absl::StatusOr<PodIdentity> ParseTokenReview(std::string_view body, absl::Time expires) {
  const json review = json::parse(body, nullptr, false);
  const json status = At(review, {"status"});
  if (!status.is_object()) return absl::UnavailableError("no TokenReview came back");
  if (At(status, {"authenticated"}) != true) {
    const std::string error = String(At(status, {"error"}));
    return absl::UnauthenticatedError(error.empty() ? "the API server does not know the token"
                                                    : "the API server: " + error);
  }
  // A server that does not know of audiences leaves them out, and has then not looked.
  const json audiences = At(status, {"audiences"});
  if (!audiences.is_array() ||
      std::find(audiences.begin(), audiences.end(), kAudience) == audiences.end()) {
    return absl::UnauthenticatedError(
        fmt::format("the API server does not say that the token is for {}", kAudience));
  }
  PodIdentity identity;
  identity.expires = expires;
  const std::string user = String(At(status, {"user", "username"}));
  if (user.starts_with(kServiceAccount)) {
    const size_t colon = user.find(':', kServiceAccount.size());
    identity.name_space = user.substr(kServiceAccount.size(), colon - kServiceAccount.size());
  }
  identity.pod = Only(At(status, {"user", "extra", kPodName}));
  identity.pod_uid = Only(At(status, {"user", "extra", kPodUid}));
  if (identity.name_space.empty() || identity.pod.empty()) {
    return absl::UnauthenticatedError("the token is bound to no pod: it has to be a projected one");
  }
  return identity;
}

// One question to the API server.
class TokenReviewer::Review : public ApiClient::Listener {
 public:
  Review(TokenReviewer& owner, absl::Time expires, Done done)
      : owner_(owner), expires_(expires), done_(std::move(done)) {}

  void Start(const std::string& token) {
    exchange_ = owner_.client_.Start(
        {.method = "POST", .target = kPath, .body = Body(token), .timeout = kTimeout}, *this);
  }

 private:
  void OnHead(const ApiResponseHead& head) override { status_ = head.status; }
  void OnBytes(std::string_view bytes) override {
    if (body_.size() + bytes.size() <= kMaxAnswerBytes) body_ += bytes;
  }
  void OnEnd(const absl::Status& status) override {
    const absl::StatusOr<PodIdentity> result = status.ok() ? Result() : Unavailable(status);
    const Done done = std::move(done_);
    owner_.OnDone(this);
    done(result);
  }

  static absl::Status Unavailable(const absl::Status& status) {
    return absl::UnavailableError(status.message());
  }
  absl::StatusOr<PodIdentity> Result() const {
    if (status_ == 201 || status_ == 200) return ParseTokenReview(body_, expires_);
    return absl::UnavailableError(fmt::format("create tokenreviews.authentication.k8s.io: {}: {}",
                                              status_, MessageOf(body_)));
  }

  TokenReviewer& owner_;
  const absl::Time expires_;
  Done done_;
  int status_ = 0;
  std::string body_;
  std::unique_ptr<ApiClient::Exchange> exchange_;
};

TokenReviewer::TokenReviewer(ApiClient& client) : client_(client) {}
TokenReviewer::~TokenReviewer() = default;

void TokenReviewer::Verify(const std::string& token, Done done) {
  const auto claims = ParseTokenClaims(token);
  if (!claims.ok()) return done(claims.status());
  if (const absl::Status status = CheckClaims(*claims); !status.ok()) return done(status);
  auto review = std::make_unique<Review>(*this, claims->expires, std::move(done));
  Review& started = *review;
  reviews_.emplace(&started, std::move(review));
  started.Start(token);
}

void TokenReviewer::OnDone(Review* review) { reviews_.erase(review); }

}  // namespace portolan::xds
