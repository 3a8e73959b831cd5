// From `--source kubernetes` and `--source kubernetes:KUBECONFIG` to a client of that cluster's
// API server.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/event_loop.h"
#include "common/kubernetes/curl_client.h"

namespace portolan {

// `kubeconfig`: one path, or several with colons between them; empty: the cluster that we are a pod
// of. `user_agent` as CurlClient wants it. An error says what is wrong with the configuration;
// whether the server can be reached shows with the first request. The loop's thread.
absl::StatusOr<std::unique_ptr<CurlClient>> MakeApiClient(EventLoop& loop,
                                                          const std::string& kubeconfig,
                                                          std::string user_agent);

}  // namespace portolan
