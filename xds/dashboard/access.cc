#include "xds/dashboard/access.h"

#include <fmt/format.h>

#include <utility>

#include "common/http/json.h"
#include "common/status.h"
#include "common/text.h"
#include "common/token_file.h"
#include "xds/authentication/bearer_token.h"
#include "xds/authentication/token_claims.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kRoot = "/portolan";

// What nobody needs a token for: the pages that ask for it.
bool IsPublic(const http::Request& request) {
  if (request.method != "GET" && request.method != "HEAD") return false;
  return request.path == "/" || request.path.starts_with("/assets/");
}

// A browser says on whose behalf a request is sent that changes something.
bool IsForeign(const http::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return false;
  const auto origin = request.FindHeader("origin");
  return origin && *origin != "http://" + request.host && *origin != "https://" + request.host;
}

// As RBAC has verbs of URL paths. Who may get may ask for the head of it.
std::string VerbOf(const http::Request& request) {
  return request.method == "HEAD" ? "get" : Lower(request.method);
}

http::Response Refusal(int status, std::string_view why) {
  http::Response response = http::JsonError(status, why);
  response.headers = {{"Cache-Control", "no-store"}};
  if (status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer realm=\"portolan\""});
  if (status == 503) response.headers.push_back({"Retry-After", "5"});
  return response;
}

http::Response Unavailable(const absl::Status& status) {
  return Refusal(503, fmt::format("whether you may cannot be found out now: {}", Message(status)));
}

std::optional<std::string_view> TokenOf(const http::Request& request) {
  return BearerToken(request.FindHeader("authorization").value_or(""));
}

}  // namespace

void Admissions::AddMetrics(MetricFamilies& families, std::string_view server) const {
  constexpr std::array<std::string_view, kUnavailable + 1> kNames = {
      "public", "admitted", "no_token", "refused", "forbidden", "foreign", "unavailable"};
  for (size_t i = 0; i < kNames.size(); ++i) {
    AddCounterSample(families, "portolan_http_admissions_total",
                     "Requests, by whether the one who sent them may.",
                     {{"server", server}, {"result", kNames[i]}},
                     static_cast<double>(counts_[i].value()));
  }
}

void ReaderAccess::Admit(const http::Request& request, http::Admitted done) {
  if (IsPublic(request)) {
    admissions_.Count(Admissions::kPublic);
    return done(std::nullopt);
  }
  if (IsForeign(request)) {
    admissions_.Count(Admissions::kForeign);
    return done(Refusal(403, "a page of another site may not do this"));
  }
  const auto shown = TokenOf(request);
  if (!shown) {
    admissions_.Count(Admissions::kNoToken);
    return done(Refusal(401,
                        "a token is needed, as in 'Authorization: Bearer TOKEN'; "
                        "kubectl create token SERVICEACCOUNT makes one"));
  }
  const std::string token(*shown);
  const std::string hash = HashOf(token);
  users_.Get(
      hash, [this, token](auto answer) { reviewer_.WhoIs(token, "", std::move(answer)); },
      [this, hash, verb = VerbOf(request), path = std::string(kRoot) + request.path,
       done = std::move(done)](const absl::StatusOr<User>& user) {
        OnUser(user, hash, verb, path, done);
      });
}

void ReaderAccess::OnUser(const absl::StatusOr<User>& user, const std::string& hash,
                          const std::string& verb, const std::string& path,
                          const http::Admitted& done) {
  if (!user.ok()) {
    const bool refused = absl::IsUnauthenticated(user.status());
    admissions_.Count(refused ? Admissions::kRefused : Admissions::kUnavailable);
    return done(refused ? Refusal(401, Message(user.status())) : Unavailable(user.status()));
  }
  const auto ask = [&](RememberedAnswers<Allowed>::Done answer) {
    reviewer_.May(*user, verb, path, [answer = std::move(answer)](const absl::Status& status) {
      answer(status.ok() ? absl::StatusOr<Allowed>(Allowed()) : status);
    });
  };
  allowed_.Get(HashOf(hash + verb + " " + path), ask,
               [this, name = user->name, verb, path, done](const absl::StatusOr<Allowed>& allowed) {
                 if (allowed.ok()) {
                   admissions_.Count(Admissions::kAdmitted);
                   return done(std::nullopt);
                 }
                 const bool forbidden = absl::IsPermissionDenied(allowed.status());
                 admissions_.Count(forbidden ? Admissions::kForbidden : Admissions::kUnavailable);
                 if (!forbidden) return done(Unavailable(allowed.status()));
                 done(Refusal(403, fmt::format("{} may not {} {}: a ClusterRole has to give that "
                                               "nonResourceURL (portolan-dashboard-reader gives "
                                               "all that are read)",
                                               name, verb, path)));
               });
}

void PeerAccess::Admit(const http::Request& request, http::Admitted done) {
  const auto shown = TokenOf(request);
  if (!shown) {
    admissions_.Count(Admissions::kNoToken);
    return done(Refusal(401, "this port is for the other replicas of the control plane"));
  }
  if (request.FindQuery("scope") != "local") {
    admissions_.Count(Admissions::kForbidden);
    return done(Refusal(403, "replicas are asked with scope=local"));
  }
  const std::string token(*shown);
  users_.Get(
      HashOf(token),
      [this, token](auto answer) { reviewer_.WhoIs(token, kPeerAudience, std::move(answer)); },
      [this, done = std::move(done)](const absl::StatusOr<User>& user) { OnUser(user, done); });
}

void PeerAccess::OnUser(const absl::StatusOr<User>& user, const http::Admitted& done) {
  if (!user.ok()) {
    const bool refused = absl::IsUnauthenticated(user.status());
    admissions_.Count(refused ? Admissions::kRefused : Admissions::kUnavailable);
    return done(refused ? Refusal(401, Message(user.status())) : Unavailable(user.status()));
  }
  const auto own = ReadToken(token_file_);
  const auto claims = own.ok() ? ParseTokenClaims(*own) : own.status();
  if (!claims.ok() || claims->subject.empty()) {
    admissions_.Count(Admissions::kUnavailable);
    return done(Unavailable(
        absl::UnavailableError(fmt::format("{}: no token that says who we are", token_file_))));
  }
  if (claims->subject != user->name) {
    admissions_.Count(Admissions::kForbidden);
    return done(Refusal(403, fmt::format("{} is no replica of this control plane: those run as {}",
                                         user->name, claims->subject)));
  }
  admissions_.Count(Admissions::kAdmitted);
  done(std::nullopt);
}

}  // namespace portolan::xds
