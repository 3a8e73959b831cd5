#include "xds/sidecars/sidecars.h"

#include <algorithm>
#include <utility>

#include "common/handover.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "xds/sidecars/sidecar_stream.h"

namespace portolan::xds {

Sidecars::Sidecars(EventLoop& loop, Options options)
    : loop_(loop), options_(options), patience_(loop.AddTimer([this] { LosePatience(); })) {}
Sidecars::~Sidecars() = default;

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Sidecars::Connect(
    grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<SidecarStream>(*this, context);
  streams_.With([&](Streams& streams) { streams.all.emplace(stream.get(), stream); });
  stream->Start(gate_);
  return stream.get();
}

void Sidecars::OnHello(SidecarStream& stream, const std::string& node_id) {
  const auto older = streams_.With([&](Streams& streams) {
    return std::exchange(streams.newest[node_id], streams.all.at(&stream));
  });
  if (older == nullptr) return;
  older->End({grpc::StatusCode::ABORTED, "there is a newer stream of " + node_id});
}

void Sidecars::OnDone(SidecarStream& stream, const std::vector<uint64_t>& unanswered) {
  std::shared_ptr<SidecarStream> last;  // destroyed after the lock is released
  const std::string node_id = stream.Status().node_id;
  streams_.With([&](Streams& streams) {
    last = std::move(streams.all.at(&stream));
    streams.all.erase(&stream);
    const auto newest = streams.newest.find(node_id);
    if (newest == streams.newest.end() || newest->second != last) return;
    streams.newest.erase(newest);
    asked_names_.OnGone(node_id, Monotonic());
  });
  for (const uint64_t id : unanswered) {
    loop_.Post([weak = std::weak_ptr(self_), id] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      (*self)->Finish(id, kLost, absl::NotFoundError("the sidecar disconnected"));
    });
  }
  last.reset();
  HandOver(this);
}

std::shared_ptr<SidecarStream> Sidecars::NewestOf(std::string_view node_id) const {
  return streams_.With([&](const Streams& streams) {
    const auto found = streams.newest.find(node_id);
    return found == streams.newest.end() ? nullptr : found->second;
  });
}

std::optional<ReportedSidecar> Sidecars::Find(std::string_view node_id) const {
  const auto stream = NewestOf(node_id);
  if (stream == nullptr) return std::nullopt;
  return stream->Status();
}

std::vector<ReportedSidecar> Sidecars::All() const {
  std::vector<std::shared_ptr<SidecarStream>> streams;
  streams_.With([&](const Streams& known) {
    for (const auto& [node_id, stream] : known.newest) streams.push_back(stream);
  });
  std::vector<ReportedSidecar> all;
  for (const auto& stream : streams) all.push_back(stream->Status());
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.node_id < b.node_id; });
  return all;
}

AskedBy Sidecars::AskedFor(std::string_view service_key, size_t most_pods) const {
  return asked_names_.Find(service_key, most_pods, Monotonic());
}

void Sidecars::OnReport(const ReportedSidecar& sidecar) {
  ++reports_;
  asked_names_.OnReport(sidecar.node_id, sidecar.report->names());
  if (on_report_ == nullptr) return;
  loop_.Post([weak = std::weak_ptr(self_), node_id = sidecar.node_id] {
    if (const auto self = weak.lock()) (*self)->on_report_(node_id);
  });
}

void Sidecars::Ask(std::string_view node_id, v1::Question question, Done done) {
  const auto stream = NewestOf(node_id);
  if (stream == nullptr) {
    Count(kNotConnected);
    return done(NotFound("the sidecar of {} is not connected here", node_id));
  }
  const uint64_t id = ++last_id_;
  question.set_id(id);
  if (!stream->Ask(question)) {
    Count(kBusy);
    return done(absl::ResourceExhaustedError("the sidecar has not answered earlier questions"));
  }
  pending_.emplace(id, std::move(done));
  deadlines_.push_back({id, Monotonic() + options_.patience});
  if (deadlines_.size() == 1) patience_.Start(options_.patience);
}

void Sidecars::LosePatience() {
  const absl::Duration now = Monotonic();
  while (!deadlines_.empty() && deadlines_.front().at <= now) {
    const uint64_t id = deadlines_.front().id;
    deadlines_.pop_front();
    Finish(id, kTimedOut,
           absl::DeadlineExceededError("no answer from the sidecar in " +
                                       absl::FormatDuration(options_.patience)));
  }
  if (!deadlines_.empty()) patience_.Start(deadlines_.front().at - now);
}

void Sidecars::OnAnswer(const v1::Answer& answer) {
  loop_.Post([weak = std::weak_ptr(self_), answer] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (answer.has_json()) return (*self)->Finish(answer.id(), kAnswered, answer.json());
    (*self)->Finish(answer.id(), kRefused, FailedPrecondition("{}", answer.refusal()));
  });
}

// One that nobody waits for any more is dropped.
void Sidecars::Finish(uint64_t id, Outcome outcome, const absl::StatusOr<std::string>& answer) {
  auto pending = pending_.extract(id);
  if (pending.empty()) return;
  Count(outcome);
  pending.mapped()(answer);
}

void Sidecars::EndAll(const grpc::Status& status) {
  const auto streams = streams_.With([](const Streams& all) {
    std::vector<std::shared_ptr<SidecarStream>> list;
    for (const auto& [key, stream] : all.all) list.push_back(stream);
    return list;
  });
  for (const auto& stream : streams) stream->End(status);
}

void Sidecars::AddMetrics(MetricFamilies& families) const {
  constexpr std::string_view kWords[kOutcomes] = {"answered", "refused",       "timed_out",
                                                  "busy",     "not_connected", "lost"};
  for (size_t i = 0; i < kOutcomes; ++i) {
    AddCounterSample(families, "portolan_sidecar_questions_total",
                     "Questions to sidecars by what became of them.", {{"outcome", kWords[i]}},
                     static_cast<double>(outcomes_[i].load()));
  }
  AddCounterSample(families, "portolan_sidecar_reports_total", "Reports of sidecars.", {},
                   static_cast<double>(reports_.load()));
  AddCounterSample(families, "portolan_sidecar_streams_ended_total",
                   "Streams of reports that were ended as the sidecar broke a rule.", {},
                   static_cast<double>(broken_rules_.load()));
  std::array<size_t, kPolicyStates> by_policy{};
  const std::vector<ReportedSidecar> connected = All();
  for (const ReportedSidecar& sidecar : connected) {
    ++by_policy[static_cast<size_t>(PolicyStateOf(sidecar))];
  }
  AddGaugeSample(families, "portolan_sidecars_reporting", "Sidecars that may be asked now.", {},
                 static_cast<double>(connected.size()));
  for (size_t i = 0; i < kPolicyStates; ++i) {
    AddGaugeSample(families, "portolan_sidecars_by_policy",
                   "Of those, by how the policies that select their pod are enforced.",
                   {{"state", Word(static_cast<PolicyState>(i))}},
                   static_cast<double>(by_policy[i]));
  }
}

}  // namespace portolan::xds
