// What all commands have in common: the flags that any of them takes, the way to the control plane,
// and how an answer is printed.
//
// The way is what --server says; else, where a kubeconfig is, kubectl port-forward
// (port_forward.h); else a control plane on this machine. It is made with the first request. One
// thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "ctl/port_forward.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

class Session {
 public:
  // Adds the flags to `app`; both live until the command has run.
  explicit Session(CLI::App& app);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  void AddWatch(CLI::App& command);

  // Requests to the control plane, as Client has them.
  absl::StatusOr<nlohmann::json> Get(const std::string& path);
  absl::StatusOr<nlohmann::json> Post(const std::string& path);
  absl::StatusOr<nlohmann::json> GetAll(const std::string& path, const std::string& key);

  // Prints what `fetch` gives: as `table` draws it, or as -o asks; with --watch again and again.
  // Gives the exit status.
  using Fetch = std::function<absl::StatusOr<nlohmann::json>()>;
  using Draw = std::function<std::string(const nlohmann::json&, const Look&)>;
  int Show(const Fetch& fetch, const Draw& table);
  // An answer that is there already, once.
  int ShowOnce(const nlohmann::json& answer, const Draw& table) const;

  absl::Duration timeout() const { return timeout_; }
  bool watches() const { return watch_; }

  // The paths of the kubeconfig that kubectl would read, as in KUBECONFIG; empty: there is none.
  std::string Kubeconfig() const;
  const std::string& context() const { return context_; }

  // The way to the control plane, for those who go it themselves. `forward`: null where it leads
  // over none.
  struct Way {
    std::string server;
    PortForward* forward;
  };
  absl::StatusOr<Way> FindWay();

 private:
  absl::StatusOr<Client*> ControlPlane();
  // As they are now: kubectl ends when its pod does and another serves the next request at another
  // port, and a token's file is replaced while the token is still good.
  absl::StatusOr<Client::Options> ClientOptions();
  absl::StatusOr<nlohmann::json> Explained(absl::StatusOr<nlohmann::json> answer);
  std::string Drawn(const nlohmann::json& answer, const Draw& table) const;
  int Watch(const Fetch& fetch, const Draw& table);

  std::string server_;
  std::string kubeconfig_;
  std::string context_;
  std::string control_namespace_ = "portolan-system";
  std::string token_file_;
  std::string ca_file_;
  absl::Duration timeout_ = absl::Seconds(10);
  std::string format_ = "table";
  bool watch_ = false;

  std::unique_ptr<PortForward> forward_;
  std::unique_ptr<Client> client_;
};

}  // namespace portolan::ctl
