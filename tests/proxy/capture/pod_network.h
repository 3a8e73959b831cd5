// A pod and the network around it, as two network namespaces of this process, for one test.
//
//   pod    eth0 10.42.1.5/24 fd00:42::5/64, default routes to the world
//   world  the far end, which has every other address used here: the nameservers, Service and pod
//          addresses, and an outside resolver, each on this one interface
//
// The calling thread is in the pod; InWorld runs a function in the other namespace. A socket
// belongs to the namespace it was made in, whichever thread uses it. Needs root. Both namespaces go
// away with the object, their sockets and their rules; the machine's own network is never touched.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/fd.h"
#include "common/ip.h"

namespace portolan::proxy {

inline constexpr uid_t kApplicationUid = 1000;
inline constexpr uid_t kSidecarUid = 1337;

// The addresses of one family.
struct Addresses {
  IpAddress pod;
  IpAddress nameserver;         // in the Service range
  IpAddress second_nameserver;  // node-local, outside of all ranges
  IpAddress outside;            // an outside resolver and web server
  IpAddress service;
  IpAddress other_pod;
  IpAddress loopback;
  Cidr service_cidr;
  Cidr pod_cidr;
};
const Addresses& AddressesOf(IpFamily family);

// Gives the pod one more address, and returns when the kernel routes to it locally: for IPv6 it
// does so a moment after it has the address. Ends the test if it does not within 5 s.
void GiveAddress(const IpAddress& address);

class PodNetwork {
 public:
  // An error where the process may not make namespaces.
  absl::Status Begin();
  ~PodNetwork();

  void InWorld(const std::function<void()>& run);

 private:
  Fd original_;
  Fd world_;
  Fd pod_;
};

// Runs a program, and fails the test if the program fails. Its output.
std::string Call(const std::vector<std::string>& command, const std::string& input = "");

// Sockets made by `run` belong to this user and group as far as the kernel's owner match goes.
void As(uid_t uid, gid_t gid, const std::function<void()>& run);

// Sockets of the current namespace, with a timeout of 2 s on every wait. Port 0 lets the kernel
// choose. They fail the test and are invalid on an error.
Fd UdpSocket(const SocketAddress& bind_to);
Fd TcpListener(const SocketAddress& bind_to);
Fd TcpConnect(const SocketAddress& from, const SocketAddress& to);
Fd UnconnectedTcp(const SocketAddress& from);
// In the name of somebody else.
Fd ForeignSocket(int type, const SocketAddress& from);
// Only the first packet is sent, if it can be.
void BeginToConnect(const Fd& socket, const SocketAddress& to);

// An accepted connection, invalid if none came within `timeout_ms`.
Fd Accept(const Fd& listener, int timeout_ms = 2000);
uint16_t PortOf(const Fd& socket);
SocketAddress PeerOf(const Fd& socket);
// Where the client meant to connect to.
SocketAddress OriginalDestinationOf(const Fd& accepted, IpFamily family);

void Send(const Fd& socket, const SocketAddress& to, const std::string& datagram);
struct Received {
  std::string data;  // empty if nothing came
  SocketAddress from;
};
Received Receive(const Fd& socket, int timeout_ms = 2000);

}  // namespace portolan::proxy
