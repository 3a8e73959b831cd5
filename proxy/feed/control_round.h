// Which control plane is tried next: every address once in a round, the endpoints that the
// directory knows before the addresses of the flags. A value; one thread.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace portolan::proxy {

struct ControlAddress {
  std::string address;      // "HOST:PORT" as gRPC reads it
  std::string server_name;  // what the certificate there has to be for; empty: the host
  friend bool operator==(const ControlAddress&, const ControlAddress&) = default;
};

class ControlRound {
 public:
  // `server_name` empty: certificates are for the host that a flag names, also at its endpoints.
  ControlRound(std::vector<std::string> flags, std::string server_name);

  // Another round. `endpoints_of` gives those of a flag that is a Service. All of them are as good,
  // so sidecars begin with different ones; where the connection was lost just now is tried last.
  using EndpointsOf = std::function<std::vector<std::string>(const std::string& flag)>;
  void Begin(const EndpointsOf& endpoints_of, std::minstd_rand& random);
  // The next address of the round, or of another where it was the last or `anew` is asked for.
  enum class How { kGoOn, kAnew };
  void Advance(How how, const EndpointsOf& endpoints_of, std::minstd_rand& random);

  // True where there are no flags, or no round was begun.
  bool empty() const { return addresses_.empty(); }
  // REQUIRES: not empty.
  const ControlAddress& current() const { return addresses_[next_]; }

 private:
  void Add(ControlAddress one);

  const std::vector<std::string> flags_;
  const std::string server_name_;
  std::vector<ControlAddress> addresses_;
  size_t next_ = 0;
};

}  // namespace portolan::proxy
