#include "proxy/reporting/reporter.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "common/http/json.h"
#include "common/log.h"
#include "common/status.h"
#include "xds/api/sidecar_limits.h"

namespace portolan::proxy {
namespace {

// By then the feed is in sync, as a rule.
constexpr absl::Duration kFirstReport = absl::Seconds(1);

// Leaves out the parts of `report` that are the same in the one before, and has `parts` be this
// one's. False: that is all of it.
bool LeaveOutUnchanged(v1::SidecarReport& report, std::map<int, std::string>& parts) {
  const auto& reflection = *report.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(report, &fields);
  const std::map<int, std::string> before = std::exchange(parts, {});
  size_t changed = fields.size();
  for (const auto* field : fields) {
    std::string& part = parts[field->number()];
    reflection.GetMessage(report, field).SerializeToString(&part);
    const auto same = before.find(field->number());
    if (same == before.end() || same->second != part) continue;
    reflection.ClearField(&report, field);
    --changed;
  }
  return changed > 0;
}

// Takes what the admin interface says, as text.
std::function<void(absl::StatusOr<nlohmann::json>)> Dumped(
    std::function<void(absl::StatusOr<std::string>)> done) {
  return [done = std::move(done)](const absl::StatusOr<nlohmann::json>& said) {
    if (!said.ok()) return done(said.status());
    done(http::DumpJson(*said));
  };
}

}  // namespace

Reporter::Reporter(EventLoop& loop, Options options, AdminSource& admin, MakeReport make_report)
    : loop_(loop),
      options_(std::move(options)),
      admin_(admin),
      make_report_(std::move(make_report)),
      report_timer_(loop.AddTimer([this] { BeginReport(); })) {}

Reporter::~Reporter() { Disconnect(); }

void Reporter::Connect(const ControlConnection& connection) {
  SidecarsStream::Listener& listener = *this;
  stream_ = std::make_shared<SidecarsStream>(loop_, connection, listener);
  v1::SidecarMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_node(options_.node);
  hello.set_version(options_.version);
  hello.set_started_unix_ms(absl::ToUnixMillis(options_.started));
  stream_->Send(std::move(message));
}

void Reporter::Disconnect() {
  report_timer_.Cancel();
  stream_.reset();
  last_parts_.clear();
  open_questions_ = 0;
}

void Reporter::OnStreamOpen() { report_timer_.Start(std::min(kFirstReport, options_.interval)); }

// A connection that broke is the feed's to log.
void Reporter::OnStreamClosed(grpc::StatusCode code, const std::string& reason) {
  const bool is_news = code != grpc::StatusCode::UNAVAILABLE && code != grpc::StatusCode::CANCELLED;
  if (is_news && !std::exchange(closing_logged_, true)) {
    log::info("no reports to this control plane and no questions from it: {}", reason);
  } else {
    log::debug("the stream of reports and questions ended: {}", reason);
  }
  Disconnect();
}

// --- Reports ---

// The next one is begun a while after this one is made: there is one in the making at most.
void Reporter::BeginReport() {
  make_report_([this, stream = std::weak_ptr(stream_)](v1::SidecarReport report) {
    if (stream.expired()) return;
    report_timer_.Start(options_.interval);
    SendReport(std::move(report));
  });
}

void Reporter::SendReport(v1::SidecarReport report) {
  if (stream_->backed_up()) return reports_held_back_.Add();
  if (!LeaveOutUnchanged(report, last_parts_)) return;
  v1::SidecarMessage message;
  *message.mutable_report() = std::move(report);
  reports_.Add();
  stream_->Send(std::move(message));
}

// --- Questions ---

void Reporter::OnResponse(const v1::ControlMessage& message) {
  if (message.kind_case() == v1::ControlMessage::kQuestion) {
    TakeQuestion(message.question());
  } else {
    unknown_.Add();
  }
  stream_->ReadNext();
}

void Reporter::TakeQuestion(const v1::Question& question) {
  const uint64_t id = question.id();
  if (open_questions_ >= api::kMaxOpenQuestions) {
    return Send(id, absl::ResourceExhaustedError("too many questions at once"));
  }
  ++open_questions_;
  // The answer may come when there is another stream, or none.
  Ask(question, [this, id, asked = std::weak_ptr(stream_)](absl::StatusOr<std::string> json) {
    if (asked.expired()) return;
    --open_questions_;
    Send(id, std::move(json));
  });
}

absl::StatusOr<std::string> Reporter::Dump(const v1::ConfigDump& asked) {
  if (asked.type().empty()) return http::DumpJson(admin_.ConfigDump());
  const auto held = admin_.HeldResources(asked.type(), asked.after());
  if (!held.ok()) return held.status();
  return http::DumpJson(*held);
}

void Reporter::Ask(const v1::Question& question,
                   std::function<void(absl::StatusOr<std::string>)> done) {
  switch (question.asks_case()) {
    case v1::Question::kConfigDump:
      return done(Dump(question.config_dump()));
    case v1::Question::kSetLogLevel: {
      const std::string& level = question.set_log_level().level();
      const absl::Status set = admin_.SetLogLevel(level);
      if (!set.ok()) return done(set);
      return done(http::DumpJson({{"level", level}}));
    }
    case v1::Question::kExplain:
      return admin_.Explain({.name = question.explain().name(),
                             .type = question.explain().type(),
                             .with_cluster_dns = question.explain().with_cluster_dns()},
                            Dumped(std::move(done)));
    case v1::Question::kPolicyTest: {
      const v1::PolicyTest& test = question.policy_test();
      const uint32_t port = test.port();
      if (port > UINT16_MAX) return done(InvalidArgument("port: {} is none", port));
      return admin_.TestPolicy(
          {.to = test.to(), .port = static_cast<uint16_t>(port), .protocol = test.protocol()},
          Dumped(std::move(done)));
    }
    case v1::Question::ASKS_NOT_SET:
      break;
  }
  unknown_.Add();
  done(InvalidArgument("portolan-proxy {} does not know this question", options_.version));
}

void Reporter::Send(uint64_t id, absl::StatusOr<std::string> json) {
  if (json.ok() && json->size() > api::kMaxAnswerBytes) {
    json = InvalidArgument("the answer is larger than 1 MB");
  }
  v1::SidecarMessage message;
  message.mutable_answer()->set_id(id);
  if (json.ok()) {
    answered_.Add();
    message.mutable_answer()->set_json(*std::move(json));
  } else {
    refused_.Add();
    message.mutable_answer()->set_refusal(std::string(Message(json.status())));
  }
  stream_->Send(std::move(message));
}

void Reporter::AddMetrics(MetricFamilies& families) const {
  const auto add = [&](std::string_view name, std::string_view help, Labels labels,
                       const Counter& counter) {
    AddCounterSample(families, name, help, labels, static_cast<double>(counter.value()));
  };
  constexpr std::string_view kReports = "portolan_reports_total";
  constexpr std::string_view kReportsHelp = "Reports to the control plane.";
  add(kReports, kReportsHelp, {{"outcome", "sent"}}, reports_);
  add(kReports, kReportsHelp, {{"outcome", "held_back"}}, reports_held_back_);
  constexpr std::string_view kQuestions = "portolan_questions_total";
  constexpr std::string_view kQuestionsHelp = "Questions that came through the control plane.";
  add(kQuestions, kQuestionsHelp, {{"outcome", "answered"}}, answered_);
  add(kQuestions, kQuestionsHelp, {{"outcome", "refused"}}, refused_);
  add("portolan_control_messages_unknown_total",
      "Messages and questions that a newer control plane knows.", {}, unknown_);
}

}  // namespace portolan::proxy
