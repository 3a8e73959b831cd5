#include "common/kubernetes/make_api_client.h"

#include <utility>

#include "common/kubernetes/in_cluster.h"
#include "common/kubernetes/kubeconfig.h"

namespace portolan {
namespace {

absl::StatusOr<std::unique_ptr<AccessSource>> FindAccess(EventLoop& loop,
                                                         const std::string& kubeconfig) {
  if (kubeconfig.empty()) return InCluster::Find();
  auto config = LoadKubeconfig(kubeconfig);
  if (!config.ok()) return config.status();
  return MakeAccessSource(loop, *std::move(config));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CurlClient>> MakeApiClient(EventLoop& loop,
                                                          const std::string& kubeconfig,
                                                          std::string user_agent) {
  auto access = FindAccess(loop, kubeconfig);
  if (!access.ok()) return access.status();
  return std::make_unique<CurlClient>(loop, *std::move(access), std::move(user_agent));
}

}  // namespace portolan
