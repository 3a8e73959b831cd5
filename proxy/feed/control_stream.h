// One stream to a control plane over gRPC, seen from an event loop: discovery (AdsStream), or
// reports and questions (SidecarsStream). Streams of one channel share its connection.
//
// gRPC calls back on threads of its own; this class hands what happened to the loop and keeps
// everything else away from them. One response is in flight at a time: the next is read only after
// ReadNext, so a slow loop slows the server down instead of filling a queue.
#pragma once

#include <grpcpp/channel.h>

#include <deque>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "portolan/v1/sidecars.pb.h"

namespace portolan::proxy {

// How the control plane is reached: over TLS 1.2 or 1.3, or in plaintext.
struct Transport {
  // PEM of the CAs; the control plane's certificate has to lead to one of them. Empty: plaintext.
  std::string roots;
  // The name or address that the certificate has to be for. Empty: the host of the address dialled.
  std::string server_name;
};

// A channel of its own connection, which is pinged every 3 s and dropped when a ping is not
// answered for 5 s; the server has to allow pings that often. Connects when the first stream is
// opened on it.
std::shared_ptr<grpc::Channel> MakeControlChannel(const std::string& address,
                                                  const Transport& transport);

struct ControlConnection {
  std::shared_ptr<grpc::Channel> channel;
  // Says who we are; empty: nothing is said. It is not for a channel in plaintext.
  std::string token;
};

// What is sent and received. Instantiated in control_stream.cc for the streams that there are.
template <typename Request, typename Response>
class ControlStream {
 public:
  // Called on the loop. Any of these may destroy the stream.
  class Listener {
   public:
    virtual ~Listener() = default;
    // The first request is on its way, so there is a connection.
    virtual void OnStreamOpen() = 0;
    // Nothing more is read until ReadNext.
    virtual void OnResponse(const Response& response) = 0;
    // The last call. `reason` is for people.
    virtual void OnStreamClosed(grpc::StatusCode code, const std::string& reason) = 0;
  };

  // Opens the stream. `loop` and `listener` outlive it.
  ControlStream(EventLoop& loop, const ControlConnection& connection, Listener& listener);
  // Cancels the stream if it is open, and waits until gRPC has let go of it; no call follows.
  ~ControlStream();
  ControlStream(const ControlStream&) = delete;
  ControlStream& operator=(const ControlStream&) = delete;

  // Requests are sent in order. While the server does not take them, no response is read either, so
  // what waits here is bounded by what the caller sends unasked.
  void Send(Request request);
  void ReadNext();
  // The server does not take requests: what the caller would send unasked is better left.
  bool backed_up() const { return waiting_.size() >= kMaxWaitingRequests; }

 private:
  class Call;
  static constexpr size_t kMaxWaitingRequests = 16;

  void WriteNext();
  void MaybeRead();
  void HandleResponse();
  void HandleReadFailed();
  void HandleWritten();
  void HandleDone();

  Listener& listener_;
  std::deque<Request> waiting_;
  bool writing_ = false;
  bool read_wanted_ = false;
  bool written_ = false;
  // Until reading failed; the call may be used only while open.
  bool open_ = true;
  // Tasks that gRPC's threads posted hold a weak reference.
  std::shared_ptr<ControlStream*> self_;
  std::unique_ptr<Call> call_;
};

using AdsStream = ControlStream<envoy::service::discovery::v3::DeltaDiscoveryRequest,
                                envoy::service::discovery::v3::DeltaDiscoveryResponse>;
using SidecarsStream = ControlStream<v1::SidecarMessage, v1::ControlMessage>;

extern template class ControlStream<envoy::service::discovery::v3::DeltaDiscoveryRequest,
                                    envoy::service::discovery::v3::DeltaDiscoveryResponse>;
extern template class ControlStream<v1::SidecarMessage, v1::ControlMessage>;

}  // namespace portolan::proxy
