#include "dns/server/trace.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "dns/plugin.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"

namespace portolan::dns {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

std::string_view OutcomeWord(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAnswered:
      return "answered";
    case Verdict::kNext:
      return "passed on";
    case Verdict::kPending:
      return "waits";
    case Verdict::kDropped:
      return "dropped";
    case Verdict::kStream:
      return "answered";
    case Verdict::kAlias:
      return "alias";
  }
  return "";
}

// "www.example.com. AAAA"
std::string QuestionText(const wire::Query& query) {
  std::string type(wire::TypeWord(query.type));
  if (type.empty()) type = fmt::format("TYPE{}", query.type);
  return fmt::format("{} {}", wire::NameToText(query.lower_name()), type);
}

// What the links of all zones write to; of the one question.
struct Writing {
  explicit Writing(std::shared_ptr<Trace> to) : trace(std::move(to)) {}

  std::shared_ptr<Trace> trace;
  // The link that waits for an answer, its step and since when.
  const Plugin* waiting = nullptr;
  size_t step = 0;
  Clock::time_point since;
};

class TracedLink final : public Plugin {
 public:
  TracedLink(std::shared_ptr<const Chain> chain, size_t place, std::string zone,
             std::shared_ptr<Writing> writing)
      : chain_(std::move(chain)),
        link_(*chain_->links()[place]),
        written_at_(chain_->written_at()[place]),
        zone_(std::move(zone)),
        writing_(std::move(writing)) {}

  std::string_view name() const override { return link_.name(); }
  bool TakesChaos() const override { return link_.TakesChaos(); }

  Verdict OnQuery(Exchange& exchange) override {
    if (exchange.in_background()) return link_.OnQuery(exchange);
    json said = link_.Explain(exchange);
    const bool says = !said.is_null();
    const std::string asked = QuestionText(exchange.query());
    // Written before: a link that waits may be done, and the trace with it, before it returns.
    const size_t place = BeginWait(std::move(said));
    const Verdict verdict = link_.OnQuery(exchange);
    if (verdict == Verdict::kPending) return verdict;
    EndWait(OutcomeWord(verdict));
    if (verdict != Verdict::kNext) return verdict;
    json& steps = writing_->trace->steps;
    steps[place].erase("tookMs");
    const std::string asks = QuestionText(exchange.query());
    if (asks != asked) {
      steps[place]["asks"] = asks;
    } else if (!says) {
      steps.erase(place);
    }
    return verdict;
  }

  After OnReply(Exchange& exchange) override {
    if (exchange.in_background()) return link_.OnReply(exchange);
    if (exchange.answered_at() == exchange.depth()) {
      writing_->trace->plugin = link_.name();
      if (writing_->waiting == &link_) {
        writing_->trace->steps[writing_->step].update(Object(link_.ExplainReply(exchange)));
        EndWait(OutcomeWord(Verdict::kAnswered));
      }
    }
    const After after = link_.OnReply(exchange);
    writing_->trace->completed = exchange.completed();
    if (after == After::kAskBelow) {
      json& step = writing_->trace->steps.emplace_back(Named());
      step["outcome"] = "asks again";
      step["asks"] = QuestionText(exchange.query());
    }
    return after;
  }

 private:
  static json Object(json said) { return said.is_object() ? std::move(said) : json::object(); }

  json Named() const {
    json step = {{"plugin", link_.name()}};
    if (!written_at_.empty()) step["at"] = written_at_;
    if (zone_ != writing_->trace->zone) step["zone"] = zone_;
    return step;
  }

  size_t BeginWait(json said) {
    EndWait(writing_->waiting == &link_ ? "asked again" : OutcomeWord(Verdict::kNext));
    json& steps = writing_->trace->steps;
    json& step = steps.emplace_back(Named());
    step.update(Object(std::move(said)));
    step["outcome"] = OutcomeWord(Verdict::kPending);
    writing_->waiting = &link_;
    writing_->step = steps.size() - 1;
    writing_->since = Clock::now();
    return writing_->step;
  }

  void EndWait(std::string_view outcome) {
    if (writing_->waiting == nullptr) return;
    json& step = writing_->trace->steps[writing_->step];
    step["outcome"] = outcome;
    step["tookMs"] = Milliseconds(Clock::now() - writing_->since);
    writing_->waiting = nullptr;
  }

  const std::shared_ptr<const Chain> chain_;
  Plugin& link_;
  const std::string written_at_;
  const std::string zone_;
  const std::shared_ptr<Writing> writing_;
};

}  // namespace

double Milliseconds(Clock::duration took) {
  const double us = std::chrono::duration<double, std::micro>(took).count();
  return std::round(us) / 1000;
}

std::vector<ZoneChain> Traced(const Routes& routes, const std::shared_ptr<Trace>& trace) {
  const auto writing = std::make_shared<Writing>(trace);
  std::vector<ZoneChain> zones;
  for (const Route& route : routes.all()) {
    std::vector<std::unique_ptr<Plugin>> links;
    for (size_t i = 0; i < route.to.chain->links().size(); ++i) {
      links.push_back(std::make_unique<TracedLink>(route.to.chain, i, route.to.zone.text, writing));
    }
    zones.push_back(
        {route.to.zone, std::make_shared<const Chain>(std::move(links)), route.to.server});
  }
  return zones;
}

}  // namespace portolan::dns
