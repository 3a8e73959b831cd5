#include "proxy/connection_json.h"

#include <string_view>

namespace portolan::proxy {
namespace {

std::string_view StateName(ConnectionInfo::State state) {
  switch (state) {
    case ConnectionInfo::State::kWaiting:
      return "waiting for endpoints";
    case ConnectionInfo::State::kConnecting:
      return "connecting";
    case ConnectionInfo::State::kJoined:
      break;
  }
  return "joined";
}

}  // namespace

nlohmann::json ToJson(const ConnectionInfo& info) {
  const bool inbound = info.direction == ConnectionInfo::Direction::kInbound;
  return {{"direction", inbound ? "inbound" : "outbound"},
          {"protocol", info.protocol == Protocol::kUdp ? "udp" : "tcp"},
          {"state", StateName(info.state)},
          {"client", info.client.ToString()},
          {"dialled", info.dialled.ToString()},
          {"endpoint", info.endpoint.ToString()},
          {"service", info.service},
          {"pod", info.pod},
          {"bytesUp", info.bytes_up},
          {"bytesDown", info.bytes_down},
          {"ageMs", absl::ToInt64Milliseconds(info.age)}};
}

}  // namespace portolan::proxy
