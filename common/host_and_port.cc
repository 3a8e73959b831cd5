#include "common/host_and_port.h"

#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "common/status.h"

namespace portolan {

absl::StatusOr<HostAndPort> HostAndPort::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  HostAndPort parsed;
  std::string_view host = text.substr(0, std::min(colon, text.size()));
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    host = {};  // an address whose end is in doubt
  }
  const std::string_view port = colon == text.npos ? std::string_view() : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), parsed.port);
  const bool is_number = error == std::errc() && end == port.data() + port.size();
  if (host.empty() || !is_number || parsed.port == 0) {
    return InvalidArgument("'{}' is not HOST:PORT", text);
  }
  parsed.host = host;
  return parsed;
}

std::string HostAndPort::ToString() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

absl::StatusOr<std::vector<SocketAddress>> LookUp(const HostAndPort& where) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
  if (error != 0)
    return absl::UnavailableError(fmt::format("{}: {}", where.host, gai_strerror(error)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const auto address = SocketAddress::From(each->ai_addr, each->ai_addrlen);
    if (address.ok()) addresses.push_back(*address);
  }
  if (addresses.empty()) return absl::UnavailableError(where.host + ": no addresses");
  return addresses;
}

}  // namespace portolan
