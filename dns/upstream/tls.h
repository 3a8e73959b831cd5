// TLS towards upstreams (RFC 7858): what is trusted, and one connection's cipher. TLS 1.2 at least;
// the server's certificate is always verified, against a name or its address.
//
// Knows nothing of sockets: ciphertext goes in and comes out as bytes.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ip.h"
#include "dns/upstream/context.h"

namespace portolan::dns::upstream {

struct SslFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};

// Empty paths: no certificate of our own; the system's CAs.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string ca;
};

// Immutable once made; shared by all workers.
class TlsTrust {
 public:
  // Reads the files, so: at load, not on a worker. An error names the file.
  static absl::StatusOr<std::shared_ptr<const TlsTrust>> Load(const TlsFiles& files);

  SSL_CTX* context() const { return context_.get(); }

 private:
  explicit TlsTrust(std::unique_ptr<SSL_CTX, SslFree> context) : context_(std::move(context)) {}

  std::unique_ptr<SSL_CTX, SslFree> context_;
};

// The last session with a server, so that the next connection costs no full handshake.
using TlsSession = std::unique_ptr<SSL_SESSION, SslFree>;

// The worker's loop. `trust` and `session` outlive it.
class TlsStream {
 public:
  enum class State : uint8_t { kHandshaking, kOpen, kFailed };

  // Verifies the certificate against `name`, or against `address` where that is empty.
  TlsStream(const TlsTrust& trust, const std::string& name, const IpAddress& address,
            TlsSession& session);
  ~TlsStream();

  // What the server sent; empty to begin the handshake. Afterwards: state, Read, TakeOutput.
  void Receive(std::span<const uint8_t> ciphertext);
  // Bytes of plaintext that are there, at most room.size(); 0 when all was read.
  size_t Read(std::span<uint8_t> room);
  // REQUIRES: kOpen.
  void Write(std::span<const uint8_t> plaintext);
  // Appends what must be sent to the server.
  void TakeOutput(std::vector<uint8_t>& out);

  State state() const { return state_; }
  bool resumed() const { return SSL_session_reused(ssl_.get()) == 1; }
  // Once failed: the reason, for the counter and for the log.
  TlsError error() const;
  std::string ErrorText() const;

 private:
  // What a call of OpenSSL's that gave `result` means for the state.
  void Judge(int result);

  std::unique_ptr<SSL, SslFree> ssl_;
  BIO* from_server_;  // both ssl_'s own
  BIO* to_server_;
  State state_ = State::kHandshaking;
  unsigned long failure_ = 0;
};

}  // namespace portolan::dns::upstream
