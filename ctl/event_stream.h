// GET /api/v1/events of the control plane: when it is time to look again. What changed is not read,
// for a look costs one request. One thread.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "ctl/client.h"

namespace portolan::ctl {

class EventStream {
 public:
  explicit EventStream(Client::Options options);
  const Client::Options& options() const { return options_; }
  ~EventStream();
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  enum class Woken : uint8_t { kChange, kTime, kInterrupted };
  // Until something changed, but at most `patience`; without events (another control plane, a
  // connection that broke and is tried again with the next call) at most kWithoutEvents.
  static constexpr absl::Duration kWithoutEvents = absl::Seconds(2);
  Woken Wait(absl::Duration patience);

 private:
  void Connect();
  void Disconnect();
  void Perform();
  static size_t OnBody(char* data, size_t size, size_t count, void* stream);

  const Client::Options options_;
  CURLM* const multi_;
  CurlHandle curl_;
  CurlHeaders headers_;
  bool unknown_ = false;  // this control plane has no events
  std::string line_;      // so far
  bool changed_ = false;
};

}  // namespace portolan::ctl
