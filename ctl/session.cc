#include "ctl/session.h"

#include "common/flags.h"
#include "ctl/output.h"

namespace portolan::ctl {

using nlohmann::json;

Session::Session(CLI::App& app) {
  app.add_option("--server", server_, "URL of portolan-control's --http-listen")
      ->capture_default_str();
  AddFlag(app, "--timeout", timeout_, "how long an answer may take");
  app.add_option("-o,--output", format_, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
}

Client Session::ControlPlane() const { return Client({.server = server_, .timeout = timeout_}); }

absl::StatusOr<json> Session::Get(const std::string& path) { return ControlPlane().Get(path); }

absl::StatusOr<json> Session::Post(const std::string& path) { return ControlPlane().Post(path); }

absl::StatusOr<json> Session::GetAll(const std::string& path, const std::string& key) {
  return ControlPlane().GetAll(path, key);
}

int Session::Show(const Fetch& fetch, const Draw& table) {
  const auto answer = fetch();
  if (!answer.ok()) return Fail(answer.status());
  return Print(format_ == "json" ? Json(*answer) : table(*answer, Look{}));
}

}  // namespace portolan::ctl
