// An answer that is sent piece by piece, for as long as it takes: server-sent events, for one.
//
//   http::Stream stream = responder.Begin(head, [this] { listeners_.erase(id); });
//   if (stream.open()) listeners_.emplace(id, std::move(stream));
//
// HTTP/1.1 sends it in chunks, HTTP/1.0 until the connection is closed, HTTP/2 as DATA. No answer
// timeout runs meanwhile, however long it is silent; a peer that takes nothing of what waits for it
// loses the connection after Timeouts::idle, as with any answer.
//
// What is sent and not yet taken is held: nothing but the caller bounds it, by looking at unsent()
// before he sends more. The loop's thread only. Outlives the connection safely.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

namespace portolan::http {

class Stream {
 public:
  // What carries it.
  class Carrier {
   public:
    virtual ~Carrier() = default;
    virtual void Send(std::string_view bytes) = 0;
    virtual void End() = 0;
    virtual size_t unsent() const = 0;
    virtual bool open() const = 0;
  };

  // Not open.
  Stream() = default;
  explicit Stream(std::unique_ptr<Carrier> carrier) : carrier_(std::move(carrier)) {}
  Stream(Stream&&) = default;
  Stream& operator=(Stream&& other) noexcept {
    End();
    carrier_ = std::move(other.carrier_);
    return *this;
  }
  // Ends it.
  ~Stream() { End(); }

  // Nothing happens once it is not open. Bytes sent in one turn of the loop are one piece or many,
  // as it comes.
  void Send(std::string_view bytes) {
    if (carrier_ != nullptr) carrier_->Send(bytes);
  }
  // The answer is complete; what waits is still sent.
  void End() {
    if (const auto carrier = std::exchange(carrier_, nullptr)) carrier->End();
  }

  // Bytes that wait for the peer, together with those of other answers that are before them on the
  // same connection.
  size_t unsent() const { return carrier_ == nullptr ? 0 : carrier_->unsent(); }
  // False: it has ended, or the peer is gone.
  bool open() const { return carrier_ != nullptr && carrier_->open(); }

 private:
  std::unique_ptr<Carrier> carrier_;
};

}  // namespace portolan::http
