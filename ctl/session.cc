#include "ctl/session.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "common/flags.h"
#include "common/status.h"
#include "common/token_file.h"
#include "ctl/event_stream.h"
#include "ctl/interrupt.h"
#include "ctl/output.h"
#include "ctl/screen.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

constexpr char kLocal[] = "http://127.0.0.1:15080";
// Ages and rates go on where nothing changes; and many changes need not be seen one by one.
constexpr absl::Duration kRedrawEvery = absl::Seconds(5);
constexpr absl::Duration kRedrawNotBefore = absl::Milliseconds(250);

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool AnyExists(std::string_view paths) {
  for (size_t at = 0; at < paths.size();) {
    const size_t end = std::min(paths.find(':', at), paths.size());
    std::error_code error;
    if (std::filesystem::exists(paths.substr(at, end - at), error)) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

Session::Session(CLI::App& app) {
  app.add_option("--server", server_,
                 "URL of portolan-control's --http-listen; default: kubectl port-forward where a "
                 "kubeconfig is, else http://127.0.0.1:15080");
  app.add_option("--kubeconfig", kubeconfig_, "for kubectl; default: KUBECONFIG, ~/.kube/config");
  app.add_option("--context", context_, "of the kubeconfig; default: its current one");
  app.add_option("--control-namespace", control_namespace_, "where portolan-control runs")
      ->capture_default_str();
  app.add_option("--token", token_file_,
                 "file of a bearer token, for --http-auth; default: PORTOLAN_TOKEN, else none");
  app.add_option("--ca", ca_file_, "file of the CAs of an https server; default: the system's");
  AddFlag(app, "--timeout", timeout_, "how long an answer may take");
  app.add_option("-o,--output", format_, "table, wide, json or yaml")
      ->check(CLI::IsMember({"table", "wide", "json", "yaml"}))
      ->capture_default_str();
}

void Session::AddWatch(CLI::App& command) {
  command.add_flag("-w,--watch", watch_, "again whenever something changes, until Ctrl-C");
}

std::string Session::Kubeconfig() const {
  if (!kubeconfig_.empty()) return kubeconfig_;
  if (std::string paths = Variable("KUBECONFIG"); !paths.empty()) {
    return AnyExists(paths) ? paths : std::string();
  }
  const std::string home = Variable("HOME");
  if (home.empty()) return {};
  std::string path = home + "/.kube/config";
  return AnyExists(path) ? path : std::string();
}

absl::StatusOr<Session::Way> Session::FindWay() {
  if (!server_.empty()) return Way{server_, nullptr};
  const std::string kubeconfig = Kubeconfig();
  if (kubeconfig.empty() && context_.empty()) return Way{kLocal, nullptr};
  if (forward_ == nullptr || !forward_->Drain()) {
    auto forward = PortForward::Start(
        {.kubeconfig = kubeconfig, .context = context_, .ns = control_namespace_});
    if (!forward.ok()) return forward.status();
    forward_ = *std::move(forward);
  }
  return Way{forward_->url(), forward_.get()};
}

absl::StatusOr<Client::Options> Session::ClientOptions() {
  auto way = FindWay();
  if (!way.ok()) return way.status();
  Client::Options options{.server = way->server, .timeout = timeout_, .ca_file = ca_file_};
  if (!token_file_.empty()) {
    auto token = ReadToken(token_file_);
    if (!token.ok()) return token.status();
    options.token = *std::move(token);
  } else {
    options.token = Variable("PORTOLAN_TOKEN");
    if (!options.token.empty() && !IsToken(options.token)) {
      return InvalidArgument("PORTOLAN_TOKEN holds no token, but what no header can carry");
    }
  }
  return options;
}

absl::StatusOr<Client*> Session::ControlPlane() {
  auto options = ClientOptions();
  if (!options.ok()) return options.status();
  if (client_ == nullptr || client_->options() != *options) {
    client_ = std::make_unique<Client>(*std::move(options));
  }
  return client_.get();
}

// With what kubectl said, where the request went through it.
absl::StatusOr<json> Session::Explained(absl::StatusOr<json> answer) {
  if (answer.ok() || forward_ == nullptr) return answer;
  // It says so a moment after the connection has failed.
  forward_->Drain(absl::Milliseconds(200));
  if (forward_->complaints().empty()) return answer;
  return absl::Status(answer.status().code(),
                      fmt::format("{}\nkubectl port-forward said: {}", Message(answer.status()),
                                  forward_->complaints()));
}

absl::StatusOr<json> Session::Get(const std::string& path) {
  const auto client = ControlPlane();
  if (!client.ok()) return client.status();
  return Explained((*client)->Get(path));
}

absl::StatusOr<json> Session::Post(const std::string& path) {
  const auto client = ControlPlane();
  if (!client.ok()) return client.status();
  return Explained((*client)->Post(path));
}

absl::StatusOr<json> Session::GetAll(const std::string& path, const std::string& key) {
  const auto client = ControlPlane();
  if (!client.ok()) return client.status();
  return Explained((*client)->GetAll(path, key));
}

std::string Session::Drawn(const json& answer, const Draw& table) const {
  if (format_ == "json") return Json(answer);
  if (format_ == "yaml") return Yaml(answer);
  Look look = LookOfOutput();
  look.wide = format_ == "wide";
  if (look.wide) look.width = 0;
  look.absolute_times = watch_ && look.height == 0;
  return table(answer, look);
}

int Session::ShowOnce(const json& answer, const Draw& table) const {
  return Print(Drawn(answer, table));
}

int Session::Show(const Fetch& fetch, const Draw& table) {
  if (watch_) return Watch(fetch, table);
  const auto answer = fetch();
  if (!answer.ok()) return Fail(answer.status());
  return ShowOnce(*answer, table);
}

int Session::Watch(const Fetch& fetch, const Draw& table) {
  InterruptFd();
  std::optional<EventStream> events;
  const bool lines = format_ == "table" || format_ == "wide";
  const Look look = LookOfOutput();
  Screen screen(look);
  std::string shown;
  for (bool first = true; !Interrupted(); first = false) {
    const auto answer = fetch();
    if (Interrupted()) break;
    if (!answer.ok() && (first || look.height == 0)) {
      Fail(answer.status());
      if (first) return kExitFailed;
    } else {
      std::string text =
          answer.ok() ? Drawn(*answer, table) : Printable(Message(answer.status())) + "\n";
      if (lines) {
        text = screen.Next(text);
      } else if (std::string before = std::exchange(shown, text); before == text) {
        text.clear();
      }
      if (const int exit = Print(text); exit != kExitOk) return exit;
    }
    const auto options = ClientOptions();
    if (!options.ok()) {
      Interrupted(EventStream::kWithoutEvents);
      continue;
    }
    if (!events.has_value() || events->options() != *options) events.emplace(*options);
    if (events->Wait(kRedrawEvery) == EventStream::Woken::kChange) Interrupted(kRedrawNotBefore);
  }
  return kExitOk;
}

}  // namespace portolan::ctl
