#include "xds/dashboard/names_pages.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/http/json.h"
#include "common/json_fields.h"
#include "common/nearest.h"
#include "common/status.h"
#include "common/string_map.h"
#include "directory/listing.h"
#include "xds/dashboard/asked_by.h"
#include "xds/dashboard/name_records.h"
#include "xds/dashboard/page.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr std::string_view kNamesPath = "/api/v1/names/";
constexpr size_t kMostSearchBytes = 512;
// Of who asks for the present by a clock of his own.
constexpr absl::Duration kMostClockAhead = absl::Seconds(10);

absl::Status ParseContinue(const std::string& text, NamesQuery& query) {
  if (text.empty()) return absl::OkStatus();
  if (query.sort == NamesQuery::Sort::kName) {
    auto after = ParseObjectName(text);
    if (!after) return InvalidArgument("continue: not what an earlier page gave");
    query.after = *std::move(after);
    query.offset = 0;  // was of the first page
    return absl::OkStatus();
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), query.offset);
  if (error != std::errc() || end != text.data() + text.size()) {
    return InvalidArgument("continue: not what an earlier page gave");
  }
  return absl::OkStatus();
}

absl::Status ParseWarning(const std::string& word, NamesQuery& query) {
  query.any_warning = word == "any";
  if (word.empty() || query.any_warning) return absl::OkStatus();
  query.warning = FindWarning(word);
  if (query.warning) return absl::OkStatus();
  return InvalidArgument("warning: '{}' is none; there are any, {}", word, WarningWords());
}

absl::StatusOr<NamesQuery> ParseNamesQuery(const http::Request& request) {
  NamesQuery query;
  query.ns = Parameter(request, "namespace");
  query.search = Parameter(request, "search");
  query.label = Parameter(request, "label");
  if (query.search.size() > kMostSearchBytes || query.label.size() > kMostSearchBytes) {
    return InvalidArgument("search and label: at most {} bytes", kMostSearchBytes);
  }
  const auto limit = ParseCount(request, "limit", kMaxPageSize, kDefaultPageSize);
  if (!limit.ok()) return limit.status();
  query.limit = *limit;
  if (const std::string offset = Parameter(request, "offset"); offset != "0") {
    const auto count = ParseCount(request, "offset", 10'000'000, 0);
    if (!count.ok()) return InvalidArgument("offset: a number is needed");
    query.offset = *count;
  }
  const std::string sort = Parameter(request, "sort");
  if (!sort.empty() && sort != "name" && sort != "changed") {
    return InvalidArgument("sort: name or changed is needed");
  }
  if (sort == "changed") query.sort = NamesQuery::Sort::kChanged;
  absl::Status status = ParseWarning(Parameter(request, "warning"), query);
  if (status.ok()) status = ParseContinue(Parameter(request, "continue"), query);
  if (!status.ok()) return status;
  return query;
}

// A page that is complete but for what other replicas add.
struct DraftPage {
  struct Name {
    std::string key;
    std::string text;  // without "askedBy", which follows, and the last brace
    json asked_by;
  };

  std::string head;  // up to the first name
  std::vector<Name> names;
  std::string next;
};

void AddTheirs(const std::vector<ReplicaAnswer>& others, DraftPage& draft) {
  StringMap<DraftPage::Name*> by_key;
  for (DraftPage::Name& name : draft.names) by_key.emplace(name.key, &name);
  for (const json& theirs : ListsOf(others, "names")) {
    const auto found = by_key.find(TextOf(theirs, "namespace") + "/" + TextOf(theirs, "name"));
    const auto asked = theirs.find("askedBy");
    if (found != by_key.end() && asked != theirs.end()) {
      AddAskedBy(found->second->asked_by, *asked);
    }
  }
}

std::string TextOf(const DraftPage& draft, const json& replicas) {
  std::string body = draft.head;
  const char* separator = "\n";
  for (const DraftPage::Name& name : draft.names) {
    body += separator;
    body += name.text;
    body += ",\"askedBy\":";
    body += Compact(name.asked_by);
    body += "}";
    separator = ",\n";
  }
  body += "]";
  if (!draft.next.empty()) body += ",\n\"continue\":" + Compact(draft.next);
  body += ",\n\"replicas\":" + Compact(replicas) + "}\n";
  return body;
}

http::Response ThenResponse(const http::Request& request, const absl::StatusOr<json>& then) {
  if (!then.ok()) return ErrorOf(then.status());
  return Tagged(request, http::DumpJson(*then) + "\n");
}

http::Response TooManyWait() {
  return http::JsonError(503, "the names are being read and too many wait for them; ask again");
}

json ObjectJson(std::string_view kind, const ObjectName& name, const Origin& origin) {
  return {{"kind", kind},
          {"namespace", name.ns},
          {"name", name.name},
          {"resourceVersion", std::string(origin.resource_version)},
          {"arrived", TimeJson(origin.arrived)}};
}

void AddRecords(const NameRecords& found, json& out) {
  json missing = json::array();
  for (const NameRecords::Missing& one : found.missing) {
    missing.push_back(
        {{"name", one.name}, {"type", one.type}, {"answer", one.answer}, {"why", one.why}});
  }
  out["records"] = RecordsJson(found.records);
  out["noRecords"] = std::move(missing);
  if (found.truncated) out["recordsTruncated"] = true;
}

}  // namespace

json ObjectsJson(const Snapshot& snapshot, const Service& service) {
  json objects = {ObjectJson("Service", service.name, service.origin)};
  const SliceSet* slices = snapshot.FindSlices(service.name.ToString());
  if (slices == nullptr) return objects;
  for (const auto& [name, slice] : *slices) {
    objects.push_back(ObjectJson("EndpointSlice", slice->name, slice->origin));
  }
  return objects;
}

NamesPages::NamesPages(http::Server& server, Sources sources) : sources_(std::move(sources)) {
  server.Get("/api/v1/names", [this](const http::Request& request, http::Responder responder) {
    AnswerPage(request, std::move(responder));
  });
  server.Get("/api/v1/names/*", [this](const http::Request& request, http::Responder responder) {
    AnswerName(request, std::move(responder));
  });
}

json NamesPages::AskedByOf(std::string_view key, size_t most_pods) const {
  const AskedBy asked =
      sources_.sidecars == nullptr ? AskedBy() : sources_.sidecars->AskedFor(key, most_pods);
  return AskedByJson(asked, most_pods > 0);
}

void NamesPages::AnswerPage(const http::Request& request, http::Responder responder) const {
  auto query = ParseNamesQuery(request);
  if (!query.ok()) return responder.Send(ErrorOf(query.status()));
  const auto answer = [this, request, query = *std::move(query), responder]() mutable {
    const NamesIndex::Page page = sources_.index.Find(query);
    const auto draft = std::make_shared<DraftPage>();
    draft->head = fmt::format("{{\"generation\":{},\n\"total\":{},\n\"names\":[",
                              sources_.index.snapshot()->generation(), page.total);
    for (const NamesIndex::Entry* entry : page.entries) {
      const std::string key = entry->name.ToString();
      draft->names.push_back({key, entry->json, AskedByOf(key, 0)});
    }
    if (page.more && !page.entries.empty()) {
      draft->next = query.sort == NamesQuery::Sort::kName
                        ? page.entries.back()->name.ToString()
                        : fmt::format("{}", query.offset + page.entries.size());
    }
    sources_.replicas.Ask(request, [this, request, draft, responder](auto others) mutable {
      AddTheirs(others, *draft);
      responder.Send(Tagged(request, TextOf(*draft, sources_.replicas.List(others))));
    });
  };
  if (!sources_.index.WhenCurrent(answer)) responder.Send(TooManyWait());
}

void NamesPages::AnswerName(const http::Request& request, http::Responder responder) const {
  const auto name = ParseObjectName(std::string_view(request.path).substr(kNamesPath.size()));
  if (!name) {
    return responder.Send(http::JsonError(404, "a name is /api/v1/names/NAMESPACE/NAME"));
  }
  if (!Parameter(request, "at").empty()) return AnswerAt(request, *name, std::move(responder));
  const auto answer = [this, request, name = *name, responder]() mutable {
    const Service* service = sources_.index.snapshot()->FindService(name.ns, name.name);
    if (service == nullptr) {
      return responder.Send(
          http::JsonError(404, fmt::format("no Service {} in namespace {}", name.name, name.ns)));
    }
    const auto body = std::make_shared<json>(NameJson(name, *service));
    sources_.replicas.Ask(request, [this, request, body, responder](auto others) mutable {
      for (const ReplicaAnswer& other : others) {
        if (!other.answer.ok() || !other.answer->is_object()) continue;
        const auto asked = other.answer->find("askedBy");
        if (asked != other.answer->end()) AddAskedBy((*body)["askedBy"], *asked);
      }
      (*body)["replicas"] = sources_.replicas.List(others);
      responder.Send(Tagged(request, http::DumpJson(*body) + "\n"));
    });
  };
  if (!sources_.index.WhenCurrent(answer)) responder.Send(TooManyWait());
}

json NamesPages::NameJson(const ObjectName& name, const Service& service) const {
  const NamesIndex& index = sources_.index;
  const Snapshot& snapshot = *index.snapshot();
  json out = ServiceDetailJson(snapshot, service, index.cluster_domain());
  const NamesIndex::Entry& entry = *index.Find(name);
  out["generation"] = snapshot.generation();
  out["hostnames"] = entry.hostnames;
  out["lastChange"] = TimeJson(entry.last_change);
  out["warnings"] = entry.warnings;
  out["askedBy"] = AskedByOf(name.ToString(), kMostAskingPods);
  out["objects"] = ObjectsJson(snapshot, service);
  AddRecords(RecordsOf(sources_.dns, snapshot, index.addresses(), service, index.cluster_domain()),
             out);
  return out;
}

void NamesPages::AnswerAt(const http::Request& request, const ObjectName& name,
                          http::Responder responder) const {
  const auto time = ParseMoment(request, "at");
  if (!time.ok()) return responder.Send(ErrorOf(time.status()));
  if (*time > absl::Now() + kMostClockAhead) {
    return responder.Send(http::JsonError(400, "at: it is still to come"));
  }
  if (sources_.at == nullptr) {
    return responder.Send(http::JsonError(404, "no history is kept"));
  }
  sources_.at(name, *time, [this, request, responder](const absl::StatusOr<json>& then) mutable {
    const bool whole = then.ok() && !then->contains("gap");
    if (whole || (!then.ok() && !absl::IsNotFound(then.status()))) {
      return responder.Send(ThenResponse(request, then));
    }
    // Another replica may have run longer, or through what this one missed.
    sources_.replicas.Ask(request, [request, then, responder](const auto& others) mutable {
      for (const ReplicaAnswer& other : others) {
        if (!other.answer.ok() || other.answer->contains("gap")) continue;
        return responder.Send(ThenResponse(request, other.answer));
      }
      responder.Send(ThenResponse(request, then));
    });
  });
}

}  // namespace portolan::xds
