#include "proxy/explained_sidecar.h"

#include <utility>

#include "common/monotonic.h"
#include "proxy/ask_workers.h"

namespace portolan::proxy {

std::vector<SocketAddress> RunningSidecar::nameservers() {
  std::vector<SocketAddress> servers;
  const dns::DialledInstead& instead = parts_.dialling.upstreams();
  for (const SocketAddress& server : parts_.pod_resolvers.current().nameservers) {
    const auto found = instead.find({server, Protocol::kUdp});
    if (found == instead.end()) {
      servers.push_back(server);
    } else {
      servers.insert(servers.end(), found->second.begin(), found->second.end());
    }
  }
  return servers;
}

void RunningSidecar::Ask(std::vector<uint8_t> query, std::function<void(OwnAnswer)> done) {
  const auto& ips = parts_.settings.pod_ips;
  const SocketAddress client{ips.empty() ? *IpAddress::Parse("127.0.0.1") : ips.front(), 0};
  parts_.workers.front()->Explain(
      std::move(query), client,
      [&loop = parts_.loop, done = std::move(done)](std::span<const uint8_t> reply,
                                                    const dns::Trace& trace) {
        loop.Post(
            [done, answer = OwnAnswer{{reply.begin(), reply.end()}, trace}] { done(answer); });
      });
}

std::string RunningSidecar::EndpointsStateOf(const std::string& service_key) {
  const Service* service = parts_.admin.snapshot()->FindService(service_key);
  return service == nullptr ? "not held" : std::string(EndpointsState(parts_.admin, *service));
}

nlohmann::json RunningSidecar::Feed() {
  const FeedStatus status = parts_.feed_status();
  const absl::Duration age = status.Age(Monotonic());
  nlohmann::json seconds = nullptr;  // never in sync
  if (age != absl::InfiniteDuration()) seconds = absl::ToInt64Seconds(age);
  return {
      {"inSync", status.in_sync},           {"source", SourceName(status.source)},
      {"age", DescribeAge(status)},         {"ageSeconds", seconds},
      {"connected", status.connected},      {"controlPlane", status.control_plane},
      {"lastFailure", status.last_failure}, {"generation", parts_.admin.snapshot()->generation()}};
}

std::string RunningSidecar::own_namespace() {
  const std::string& node = parts_.settings.node;
  return node.substr(0, node.find('/'));
}

void RunningSidecar::Describe(std::vector<std::shared_ptr<const Route>> routes,
                              std::function<void(States)> done) {
  using Said = Worker::EndpointStates;
  const size_t count = routes.size();
  AskWorkers<Said>(
      parts_.loop, parts_.workers,
      [routes = std::move(routes)](Worker& worker, auto take) {
        worker.DescribeEndpoints(routes, std::move(take));
      },
      [count, done = std::move(done)](std::vector<Said> workers) {
        States states(count);
        for (Said& said : workers) {
          for (size_t i = 0; i < count; ++i) states[i].push_back(std::move(said[i]));
        }
        done(std::move(states));
      });
}

}  // namespace portolan::proxy
