#include "xds/dashboard/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/http/json.h"
#include "common/monotonic.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr absl::Duration kTellEvery = absl::Milliseconds(1000 / Events::kPerSecond);

// In one line, as the format wants it.
std::string Event(std::string_view name, const json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", name,
                     data.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace

void Events::Untold::Add(std::string_view name) {
  if (many) return;
  names.emplace(name);
  if (names.size() <= kMostNames) return;
  many = true;
  names.clear();
}

Events::Events(EventLoop& loop, http::Server& server, Options options)
    : options_(std::move(options)) {
  tell_ = loop.AddTimer([this] { TellAll(); });
  comment_ = loop.AddTimer([this] { CommentToAll(); });
  server.Get("/api/v1/events", [this](const http::Request&, http::Responder responder) {
    Listen(std::move(responder));
  });
}

void Events::Listen(http::Responder responder) {
  if (listeners_.size() >= kMostListeners) {
    refused_.Add();
    http::Response busy = http::JsonError(
        503, fmt::format("{} listeners already: ask again later, or ask for what you want to know",
                         kMostListeners));
    busy.headers = {{"Cache-Control", "no-store"}, {"Retry-After", "10"}};
    return responder.Send(busy);
  }
  http::Response head;
  head.content_type = "text/event-stream";
  head.headers = {{"Cache-Control", "no-store"}};
  head.body = Event("hello", {{"generation", generation_}, {"version", options_.version}});
  const uint64_t id = ++last_listener_;
  http::Stream stream = responder.Begin(head, [this, id] { listeners_.erase(id); });
  if (!stream.open()) return;
  sent_.Add();
  if (listeners_.empty()) comment_.Start(options_.comment_every);
  Listener& listener = listeners_[id];
  listener.stream = std::move(stream);
  listener.since = Monotonic();
}

void Events::OnChanges(uint64_t generation, const DirectoryChanges& changes) {
  generation_ = generation;
  if (changes.services.empty() && changes.endpoints.empty()) return;
  for (auto& [id, listener] : listeners_) {
    for (const std::string& name : changes.services) listener.changes.Add(name);
    for (const std::string& name : changes.endpoints) listener.changes.Add(name);
  }
  TellSoon();
}

void Events::OnReport(std::string_view node_id) {
  for (auto& [id, listener] : listeners_) listener.reports.Add(node_id);
  TellSoon();
}

void Events::TellSoon() {
  if (listeners_.empty() || std::exchange(telling_, true)) return;
  tell_.Start(kTellEvery);
}

void Events::TellAll() {
  telling_ = false;
  for (auto& [id, listener] : listeners_) {
    Tell(listener);
    if (!listener.changes.empty() || !listener.reports.empty()) TellSoon();
  }
}

// One event; where there are two to tell, the other kind than the last time.
void Events::Tell(Listener& listener) {
  if (listener.changes.empty() && listener.reports.empty()) return;
  if (listener.stream.unsent() > 0) return held_back_.Add();
  const bool of_changes =
      listener.reports.empty() || (!listener.changes.empty() && !listener.told_changes_last);
  Untold told = std::exchange(of_changes ? listener.changes : listener.reports, Untold());
  listener.told_changes_last = of_changes;
  json data = of_changes ? json{{"generation", generation_}} : json::object();
  if (told.many) {
    data["many"] = true;
  } else {
    data[of_changes ? "names" : "reported"] = told.names;
  }
  listener.stream.Send(Event(of_changes ? "change" : "sidecars", data));
  sent_.Add();
}

void Events::CommentToAll() {
  std::erase_if(listeners_, [this](const auto& each) {
    return Monotonic() - each.second.since >= options_.longest;
  });
  if (listeners_.empty()) return;
  for (auto& [id, listener] : listeners_) {
    if (listener.stream.unsent() == 0) listener.stream.Send(":\n\n");
  }
  comment_.Start(options_.comment_every);
}

void Events::AddMetrics(MetricFamilies& families) const {
  AddGaugeSample(families, "portolan_events_listeners", "Who listens to /api/v1/events.", {},
                 static_cast<double>(listeners_.size()));
  const auto count = [&](std::string_view result, const Counter& counter) {
    AddCounterSample(families, "portolan_events_total",
                     "Events for listeners, and listeners, by what became of them.",
                     {{"result", result}}, static_cast<double>(counter.value()));
  };
  count("sent", sent_);
  count("held_back", held_back_);
  count("refused", refused_);
}

}  // namespace portolan::xds
