#include "common/kubernetes/in_cluster.h"

#include <cstdlib>
#include <string_view>
#include <utility>

#include "common/status.h"
#include "common/tls_files.h"
#include "common/token_file.h"

namespace portolan {
namespace {

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

}  // namespace

absl::StatusOr<std::unique_ptr<InCluster>> InCluster::Find(const std::string& folder) {
  const std::string_view host = Environment("KUBERNETES_SERVICE_HOST");
  const std::string_view port = Environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty()) {
    return FailedPrecondition(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod of a "
        "cluster; a kubeconfig says how to reach one from elsewhere");
  }
  const bool is_v6 = host.find(':') != std::string_view::npos;
  const std::string server =
      is_v6 ? fmt::format("https://[{}]:{}", host, port) : fmt::format("https://{}:{}", host, port);
  auto found = std::unique_ptr<InCluster>(new InCluster(server, folder));
  if (auto access = found->Read(); !access.ok()) return access.status();
  return found;
}

InCluster::InCluster(std::string server, std::string folder)
    : server_(std::move(server)), folder_(std::move(folder)) {}

absl::StatusOr<AccessPtr> InCluster::Read() const {
  Access access;
  access.server = server_;
  access.ca_origin = folder_ + "/ca.crt";
  auto ca = LoadTlsRoots(access.ca_origin);
  if (!ca.ok()) return ca.status();
  access.ca = *std::move(ca);
  auto token = ReadToken(folder_ + "/token");
  if (!token.ok()) return token.status();
  access.authorization = "Bearer " + *token;
  return std::make_shared<const Access>(std::move(access));
}

}  // namespace portolan
