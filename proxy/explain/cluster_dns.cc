#include "proxy/explain/cluster_dns.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <random>
#include <utility>

#include "common/status.h"
#include "dns/server/trace.h"
#include "proxy/explain/question.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// At most so many, each once.
std::vector<SocketAddress> First(const std::vector<SocketAddress>& servers, size_t most) {
  std::vector<SocketAddress> first;
  for (const SocketAddress& server : servers) {
    const bool known = std::find(first.begin(), first.end(), server) != first.end();
    if (!known && first.size() < most) first.push_back(server);
  }
  return first;
}

}  // namespace

struct ClusterDnsLookups::Server {
  SocketAddress address;
  Fd socket;
  Clock::time_point asked;
  bool failed = false;
  EventLoop::Watch watch;
};

struct ClusterDnsLookups::Lookup {
  std::string name;
  uint16_t id = 0;
  std::vector<uint8_t> query;
  std::optional<json> reply;
};

ClusterDnsLookups::ClusterDnsLookups(EventLoop& loop, std::vector<SocketAddress> servers,
                                     std::vector<std::string> names, uint16_t type,
                                     absl::Duration patience, Done done)
    : loop_(loop),
      addresses_(First(std::move(servers), kMostServers)),
      done_(std::move(done)),
      next_server_(loop.AddTimer([this] { AskNextServer(); })),
      patience_(loop.AddTimer([this] { Finish(); })) {
  // One after the other from a random one: no two are the same.
  auto id = static_cast<uint16_t>(std::random_device()());
  for (std::string& name : names) {
    Lookup& lookup = lookups_.emplace_back();
    lookup.id = id++;
    lookup.query = MakeQuery(name, type, lookup.id);
    lookup.name = std::move(name);
    if (lookup.query.empty()) {
      lookup.reply = json::object({{"error", "this is no name that can be asked for"}});
    }
  }
  if (addresses_.empty()) fault_ = "no nameserver is known";
  patience_.Start(addresses_.empty() ? absl::ZeroDuration() : patience);
  AskNextServer();
}

ClusterDnsLookups::~ClusterDnsLookups() = default;

void ClusterDnsLookups::AskNextServer() {
  if (servers_.size() == addresses_.size()) return;
  Server& server = *servers_.emplace_back(std::make_unique<Server>());
  server.address = addresses_[servers_.size() - 1];
  server.asked = Clock::now();
  if (servers_.size() < addresses_.size()) next_server_.Start(kNextServerAfter);
  sockaddr_storage to{};
  const socklen_t size = server.address.ToSockaddr(&to);
  server.socket = Fd(socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!server.socket.valid() ||
      connect(server.socket.get(), reinterpret_cast<sockaddr*>(&to), size) != 0) {
    return OnServerFault(server, errno);
  }
  server.watch = loop_.AddWatch(server.socket.get(), EventLoop::Interest::kRead,
                                [this, &server] { OnReadable(server); });
  for (const Lookup& lookup : lookups_) {
    if (lookup.reply.has_value()) continue;
    if (send(server.socket.get(), lookup.query.data(), lookup.query.size(), 0) < 0) {
      return OnServerFault(server, errno);
    }
  }
}

// Nobody listens there, or there is no way: the next one is asked at once.
void ClusterDnsLookups::OnServerFault(Server& server, int error) {
  server.failed = true;
  fault_ = Message(ErrnoError(error, "asking " + server.address.ToString()));
  if (servers_.size() < addresses_.size()) return next_server_.Start(absl::ZeroDuration());
  const bool all =
      std::all_of(servers_.begin(), servers_.end(), [](const auto& one) { return one->failed; });
  if (all) patience_.Start(absl::ZeroDuration());
}

void ClusterDnsLookups::OnReadable(Server& server) {
  std::array<uint8_t, kMostReplyBytes> bytes;
  const ssize_t size = recv(server.socket.get(), bytes.data(), bytes.size(), 0);
  if (size < 0) {
    if (errno != EAGAIN && errno != EINTR) OnServerFault(server, errno);
    return;
  }
  OnReply(server, {bytes.data(), static_cast<size_t>(size)});
  if (Decided()) Finish();
}

void ClusterDnsLookups::OnReply(const Server& server, std::span<const uint8_t> message) {
  const uint16_t id = IdOf(message);
  for (Lookup& lookup : lookups_) {
    if (lookup.id != id || lookup.reply.has_value()) continue;
    auto reply = ReadReply(message, id);
    if (!reply.ok()) continue;
    lookup.reply = *std::move(reply);
    (*lookup.reply)["asked"] = server.address.ToString();
    (*lookup.reply)["tookMs"] = dns::Milliseconds(Clock::now() - server.asked);
    return;
  }
}

// Whether everything up to the first with an answer is there.
bool ClusterDnsLookups::Decided() const {
  for (const Lookup& lookup : lookups_) {
    if (!lookup.reply.has_value()) return false;
    if (HasAnswer(*lookup.reply)) return true;
  }
  return true;
}

void ClusterDnsLookups::Finish() {
  patience_.Cancel();
  next_server_.Cancel();
  for (const auto& server : servers_) server->watch.Disable();
  json servers = json::array();
  for (const SocketAddress& address : addresses_) servers.push_back(address.ToString());
  json lookups = json::array();
  for (const Lookup& lookup : lookups_) {
    json out = {{"name", lookup.name}};
    if (lookup.reply.has_value()) {
      out.update(*lookup.reply);
    } else {
      out["error"] = fault_.empty() ? "no answer in time" : fault_;
    }
    lookups.push_back(std::move(out));
    if (HasAnswer(lookups.back())) break;
  }
  done_({{"servers", std::move(servers)}, {"lookups", std::move(lookups)}});
}

}  // namespace portolan::proxy
