#include "ctl/asked_sidecar.h"

#include <fmt/format.h>

namespace portolan::ctl {

void AskedSidecar::AddFlags(CLI::App& command, bool may_be_direct) {
  command.add_option("--pod", pod, "NAMESPACE/POD whose sidecar is asked");
  if (may_be_direct) AddDirectFlags(command);
}

void AskedSidecar::AddDirectFlags(CLI::App& command) {
  CLI::Option* itself = command.add_flag(
      "--direct", direct, "ask the sidecar's own admin interface instead of the control plane");
  command.add_option("--admin", admin, "its URL, with --direct")
      ->needs(itself)
      ->capture_default_str();
}

std::string AskedSidecar::Fault(std::string_view from) const {
  if (direct && pod.empty()) return {};
  const size_t slash = pod.find('/');
  const bool whole = slash != std::string::npos && slash > 0 && slash + 1 < pod.size() &&
                     pod.find('/', slash + 1) == std::string::npos;
  return whole ? "" : fmt::format("{}: NAMESPACE/POD says whose sidecar is asked", from);
}

std::string AskedSidecar::PathOf(const std::string& page) const {
  const size_t slash = pod.find('/');
  return fmt::format("/api/v1/sidecars/{}/{}/{}", EncodeQuery(pod.substr(0, slash)),
                     EncodeQuery(pod.substr(slash + 1)), page);
}

absl::StatusOr<nlohmann::json> AskedSidecar::Ask(Session& session, const std::string& page) const {
  if (!direct) return session.Get(PathOf(page));
  return Client({.server = admin, .peer = Client::Peer::kSidecar, .timeout = session.timeout()})
      .Get("/" + page);
}

}  // namespace portolan::ctl
