#include "xds/dashboard/history_pages.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/http/json.h"
#include "common/status.h"
#include "directory/listing.h"
#include "xds/dashboard/history_merge.h"
#include "xds/dashboard/page.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

absl::Status TakeMoment(const http::Request& request, std::string_view name,
                        std::optional<int64_t>& unix_ms) {
  if (Parameter(request, name).empty()) return absl::OkStatus();
  const auto time = ParseMoment(request, name);
  if (time.ok()) unix_ms = absl::ToUnixMillis(*time);
  return time.status();
}

// Another replica's times are a little different: what came between them would be lost.
absl::Status TakeContinue(const http::Request& request, const std::string& self,
                          std::optional<Position>& before) {
  const std::string from = Parameter(request, "continue");
  if (from.empty()) return absl::OkStatus();
  auto token = HistoryToken::Parse(from);
  if (!token) return InvalidArgument("continue: not what an earlier page gave");
  if (token->replica != self && request.FindQuery("scope") != "local") {
    return InvalidArgument(
        "continue: the page before is of the replica {}, and this is {}: begin "
        "anew, or ask that one",
        token->replica, self);
  }
  before = std::move(token->position);
  return absl::OkStatus();
}

absl::StatusOr<HistoryQuery> ParseQuery(const http::Request& request, const std::string& self) {
  HistoryQuery query;
  query.ns = Parameter(request, "namespace");
  query.name = Parameter(request, "name");
  absl::Status status = TakeMoment(request, "since", query.since_unix_ms);
  status.Update(TakeMoment(request, "until", query.until_unix_ms));
  const auto limit = ParseCount(request, "limit", kMaxPageSize, kDefaultPageSize);
  status.Update(limit.status());
  if (const std::string cause = Parameter(request, "cause"); !cause.empty()) {
    query.cause = ParseCause(cause);
    if (!query.cause) {
      status.Update(InvalidArgument("cause: '{}' is none of {}", cause, CauseWords()));
    }
  }
  status.Update(TakeContinue(request, self, query.before));
  if (!status.ok()) return status;
  query.limit = *limit;
  return query;
}

// Whatever keeps the history from answering may be over in a while.
http::Response NoAnswer(const absl::Status& status) {
  return http::JsonError(503, Message(status));
}

}  // namespace

// Until both the history and the other replicas have answered.
struct HistoryPages::Question {
  http::Request request;
  http::Responder responder;
  size_t limit;
  std::optional<HistoryPage> own;
  std::optional<std::vector<ReplicaAnswer>> others;
};

HistoryPages::HistoryPages(http::Server& server, History& history, const AllReplicas& replicas,
                           std::string cluster_domain)
    : history_(history), replicas_(replicas), cluster_domain_(std::move(cluster_domain)) {
  server.Get("/api/v1/history", [this](const http::Request& request, http::Responder responder) {
    Answer(request, std::move(responder));
  });
}

void HistoryPages::Answer(const http::Request& request, http::Responder responder) const {
  auto query = ParseQuery(request, replicas_.self());
  if (!query.ok()) return responder.Send(http::JsonError(400, Message(query.status())));
  auto question =
      std::make_shared<Question>(Question{request, std::move(responder), query->limit, {}, {}});
  history_.List(*std::move(query), [this, question](absl::StatusOr<HistoryPage> page) {
    if (!page.ok()) return question->responder.Send(NoAnswer(page.status()));
    question->own = *std::move(page);
    Merge(question);
  });
  replicas_.Ask(request, [this, question](std::vector<ReplicaAnswer> others) {
    question->others = std::move(others);
    Merge(question);
  });
}

void HistoryPages::Merge(const std::shared_ptr<Question>& question) const {
  if (!question->own || !question->others) return;
  auto merge = std::make_shared<HistoryMerge>(replicas_.self(), *std::move(question->own),
                                              *question->others, question->limit);
  const auto finish = [this, question, merge](absl::StatusOr<std::vector<bool>> held) {
    if (!held.ok()) return question->responder.Send(NoAnswer(held.status()));
    json body = merge->Finish(*held);
    body["replicas"] = replicas_.List(*question->others);
    question->responder.Send(Fresh(question->request, body));
  };
  std::vector<Position> foreign = merge->foreign();
  if (foreign.empty()) return finish(std::vector<bool>());
  history_.Hold(std::move(foreign), finish);
}

void HistoryPages::At(const ObjectName& name, absl::Time time,
                      std::function<void(const absl::StatusOr<json>&)> done) const {
  history_.At(name, time, [this, name, time, done = std::move(done)](absl::StatusOr<Past> past) {
    if (!past.ok()) return done(past.status());
    const Service* service = past->snapshot->FindService(name.ToString());
    if (service == nullptr) {
      return done(NotFound("there was no Service {} at {}, but endpoints of that name",
                           name.ToString(), TimeJson(time).get<std::string>()));
    }
    json then = ServiceDetailJson(*past->snapshot, *service, cluster_domain_);
    then["at"] = TimeJson(time);
    then["entry"] = std::move(past->entry);
    if (!past->gap.is_null()) then["gap"] = std::move(past->gap);
    done(then);
  });
}

}  // namespace portolan::xds
