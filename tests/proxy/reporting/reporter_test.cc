#include "proxy/reporting/reporter.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "common/http/json.h"
#include "common/status.h"
#include "tests/common/run_on_loop.h"
#include "xds/api/grpc_process.h"
#include "xds/api/sidecar_limits.h"
#include "xds/sidecars/sidecars.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr char kNode[] = "default/frontend-1";

struct FakeAdmin : AdminSource {
  Readiness Ready() override { return {}; }
  bool Healthy() override { return true; }
  std::shared_ptr<const Snapshot> snapshot() override { return std::make_shared<Snapshot>(); }
  bool WantsEndpoints(const std::string&) override { return false; }
  json ConfigDump() override { return {{"corefile", corefile}}; }
  void Policy(std::function<void(json)> done) override { done(json::object()); }
  absl::StatusOr<json> HeldResources(const std::string& type, const std::string& after) override {
    if (type != "Service") return absl::InvalidArgumentError("type: no such type");
    return json{{"resources", {{"default/backend", after}}}};
  }
  void Connections(std::function<void(json)>) override {}
  void Explain(const ExplainRequest& request,
               std::function<void(absl::StatusOr<json>)> done) override {
    if (request.name == "later") {
      later.push_back(std::move(done));
    } else {
      done(json{{"name", request.name}, {"type", request.type}});
    }
  }
  void TestPolicy(const PolicyTestRequest& request,
                  std::function<void(absl::StatusOr<json>)> done) override {
    done(json{{"to", request.to}, {"port", request.port}, {"protocol", request.protocol}});
  }
  absl::Status SetLogLevel(std::string level) override {
    if (level != "debug") return InvalidArgument("log level '{}' is none of debug", level);
    return absl::OkStatus();
  }
  void Drain() override {}
  void Quit() override {}

  std::string corefile = ".:53 {}";
  std::vector<std::function<void(absl::StatusOr<json>)>> later;
};

v1::Question ExplainQuestion(const std::string& name) {
  v1::Question question;
  question.mutable_explain()->set_name(name);
  question.mutable_explain()->set_type("A");
  return question;
}

// Both ends, on one loop.
class ReporterTest : public ::testing::Test {
 protected:
  ReporterTest() {
    api::PrepareGrpc();
    address = Serve(&sidecars, server);
    thread = std::thread([this] { loop.Run(); });
    RunOnLoop(loop, [this] { Start(absl::Milliseconds(5)); });
  }
  ~ReporterTest() override {
    RunOnLoop(loop, [this] { reporter.reset(); });
    server->Shutdown();
    server->Wait();
    loop.Stop();
    thread.join();
  }

  // Without a service every call is UNIMPLEMENTED, as at a control plane that is too old.
  std::string Serve(grpc::Service* service, std::unique_ptr<grpc::Server>& started) {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    if (service != nullptr) {
      builder.RegisterService(service);
    } else {
      builder.RegisterCallbackGenericService(&nothing);
    }
    started = builder.BuildAndStart();
    return "127.0.0.1:" + std::to_string(port);
  }
  void Start(absl::Duration interval) {
    const Reporter::Options options{
        .node = kNode, .version = "test", .started = absl::Now(), .interval = interval};
    reporter = std::make_unique<Reporter>(loop, options, admin,
                                          [this](std::function<void(v1::SidecarReport)> done) {
                                            ++reports_made;
                                            v1::SidecarReport report;
                                            report.mutable_dns()->set_queries(queries);
                                            report.mutable_endpoints()->set_held(7);
                                            done(std::move(report));
                                          });
  }
  void Connect(const std::string& to) {
    RunOnLoop(loop, [&] { reporter->Connect({MakeControlChannel(to, {}), ""}); });
  }
  void ConnectAndReport() {
    Connect(address);
    while (QueriesReported() != queries) std::this_thread::yield();
  }
  uint64_t QueriesReported() {
    const auto sidecar = sidecars.Find(kNode);
    return sidecar && sidecar->report != nullptr ? sidecar->report->dns().queries() : 0;
  }
  // With a status of its own: ThreadSanitizer does not see how libabsl counts who shares one.
  static absl::StatusOr<std::string> Own(const absl::StatusOr<std::string>& got) {
    if (got.ok()) return got;
    return absl::Status(got.status().code(), got.status().message());
  }
  absl::StatusOr<std::string> Ask(const v1::Question& question) {
    std::promise<absl::StatusOr<std::string>> answer;
    loop.Post([&] {
      sidecars.Ask(kNode, question, [&answer](const auto& got) { answer.set_value(Own(got)); });
    });
    return answer.get_future().get();
  }
  double Count(const std::string& family, const std::string& outcome) {
    MetricFamilies families;
    RunOnLoop(loop, [&] { reporter->AddMetrics(families); });
    for (const auto& one : families) {
      for (const auto& sample : one.metric) {
        if (one.name == family && sample.label.front().value == outcome) {
          return sample.counter.value;
        }
      }
    }
    return -1;
  }

  EventLoop loop;
  FakeAdmin admin;
  std::atomic<uint64_t> queries{1};
  std::atomic<int> reports_made{0};
  xds::Sidecars sidecars{loop, {.patience = absl::Seconds(30)}};
  grpc::CallbackGenericService nothing;
  std::unique_ptr<grpc::Server> server;
  std::string address;
  std::unique_ptr<Reporter> reporter;
  std::thread thread;
};

TEST_F(ReporterTest, ReportsWhatChanged) {
  ConnectAndReport();
  queries = 2;
  while (QueriesReported() != 2) std::this_thread::yield();
}

TEST_F(ReporterTest, SendsThePartsThatChanged) {
  ConnectAndReport();
  queries = 2;
  while (QueriesReported() != 2) std::this_thread::yield();
  const xds::ReportedSidecar sidecar = *sidecars.Find(kNode);
  EXPECT_EQ(sidecar.report->endpoints().held(), 7u);
  EXPECT_EQ(sidecar.previous->dns().queries(), 1u);
}

TEST_F(ReporterTest, SaysNothingTwice) {
  ConnectAndReport();
  const int made = reports_made;
  while (reports_made < made + 5) std::this_thread::yield();
  EXPECT_EQ(Count("portolan_reports_total", "sent"), 1);
}

TEST_F(ReporterTest, AnswersWhatTheAdminInterfaceShows) {
  ConnectAndReport();
  v1::Question question;
  question.mutable_config_dump();
  EXPECT_EQ(*Ask(question), http::DumpJson(admin.ConfigDump()));
  question.mutable_config_dump()->set_type("Service");
  question.mutable_config_dump()->set_after("a/b");
  EXPECT_EQ(json::parse(*Ask(question)),
            json::parse(R"({"resources": {"default/backend": "a/b"}})"));
  EXPECT_EQ(json::parse(*Ask(ExplainQuestion("backend"))),
            json::parse(R"({"name": "backend", "type": "A"})"));
  question.mutable_policy_test()->set_to("backend");
  question.mutable_policy_test()->set_port(80);
  question.mutable_policy_test()->set_protocol("UDP");
  EXPECT_EQ(json::parse(*Ask(question)),
            json::parse(R"({"to": "backend", "port": 80, "protocol": "UDP"})"));
  question.mutable_policy_test()->set_port(1 << 16 | 80);
  EXPECT_TRUE(absl::IsFailedPrecondition(Ask(question).status())) << "no port";
  question.mutable_set_log_level()->set_level("debug");
  EXPECT_EQ(json::parse(*Ask(question)), json::parse(R"({"level": "debug"})"));
}

TEST_F(ReporterTest, RefusesInTheAdminInterfacesWords) {
  ConnectAndReport();
  v1::Question question;
  question.mutable_set_log_level()->set_level("debgu");
  EXPECT_EQ(Message(Ask(question).status()), "log level 'debgu' is none of debug");
}

TEST_F(ReporterTest, RefusesAQuestionOfANewerControlPlane) {
  ConnectAndReport();
  EXPECT_THAT(Message(Ask({}).status()), HasSubstr("does not know this question"));
}

TEST_F(ReporterTest, RefusesAnAnswerBeyondTheBound) {
  ConnectAndReport();
  RunOnLoop(loop, [&] { admin.corefile.assign(api::kMaxAnswerBytes, 'x'); });
  v1::Question question;
  question.mutable_config_dump();
  EXPECT_THAT(Message(Ask(question).status()), HasSubstr("larger than 1 MB"));
  EXPECT_EQ(*Ask(ExplainQuestion("backend")), http::DumpJson({{"name", "backend"}, {"type", "A"}}));
}

TEST_F(ReporterTest, AnAnswerThatComesAfterTheConnectionIsDropped) {
  ConnectAndReport();
  std::promise<absl::StatusOr<std::string>> answer;
  loop.Post([&] {
    sidecars.Ask(kNode, ExplainQuestion("later"),
                 [&](const auto& got) { answer.set_value(Own(got)); });
  });
  while (RunOnLoop(loop, [&] { return admin.later.empty(); })) std::this_thread::yield();
  RunOnLoop(loop, [&] { reporter->Disconnect(); });
  EXPECT_TRUE(absl::IsNotFound(answer.get_future().get().status()));
  ConnectAndReport();
  RunOnLoop(loop, [&] { admin.later.front()(json::object()); });
  EXPECT_EQ(json::parse(*Ask(ExplainQuestion("b")))["name"], "b");
}

TEST_F(ReporterTest, WithAnOlderControlPlaneItGoesOnWithoutUntilTheNextConnection) {
  std::unique_ptr<grpc::Server> older;
  const std::string older_address = Serve(nullptr, older);
  Connect(older_address);
  while (RunOnLoop(loop, [&] { return reporter->has_stream(); })) std::this_thread::yield();
  older->Shutdown();
  RunOnLoop(loop, [&] { reporter->Disconnect(); });
  ConnectAndReport();
}

}  // namespace
}  // namespace portolan::proxy
