// What all commands have in common: the flags that any of them takes, the way to the control plane,
// and how an answer is printed. One thread.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

class Session {
 public:
  // Adds the flags to `app`; both live until the command has run.
  explicit Session(CLI::App& app);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Requests to the control plane, as Client has them.
  absl::StatusOr<nlohmann::json> Get(const std::string& path);
  absl::StatusOr<nlohmann::json> Post(const std::string& path);
  absl::StatusOr<nlohmann::json> GetAll(const std::string& path, const std::string& key);

  // Prints what `fetch` gives: as `table` draws it, or as -o asks. Gives the exit status.
  using Fetch = std::function<absl::StatusOr<nlohmann::json>()>;
  using Draw = std::function<std::string(const nlohmann::json&, const Look&)>;
  int Show(const Fetch& fetch, const Draw& table);

  absl::Duration timeout() const { return timeout_; }

 private:
  Client ControlPlane() const;

  std::string server_ = "http://127.0.0.1:15080";
  absl::Duration timeout_ = absl::Seconds(10);
  std::string format_ = "table";
};

}  // namespace portolan::ctl
