// The sidecar that a command asks: by way of the control plane, or its own admin interface.
#pragma once

#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "ctl/session.h"

namespace portolan::ctl {

struct AskedSidecar {
  std::string pod;  // NAMESPACE/POD
  bool direct = false;
  std::string admin = "http://127.0.0.1:15000";

  // --pod; with `may_be_direct` --direct and --admin too; those two alone.
  void AddFlags(CLI::App& command, bool may_be_direct);
  void AddDirectFlags(CLI::App& command);
  // What is wrong with the pod's name, which only the sidecar's own admin interface can do without;
  // empty: nothing. `from`: where it was given.
  std::string Fault(std::string_view from = "--pod") const;

  // The path of one of its pages on the control plane.
  std::string PathOf(const std::string& page) const;
  // One of its pages: "explain?name=backend&type=A".
  absl::StatusOr<nlohmann::json> Ask(Session& session, const std::string& page) const;
};

}  // namespace portolan::ctl
