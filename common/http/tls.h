// TLS of the server: what it shows (TlsContext), and one connection's cipher (TlsStream). TLS 1.2
// and 1.3 with ciphers that HTTP/2 allows (RFC 9113 9.2), no renegotiation, no compression; h2 and
// http/1.1 by ALPN (RFC 7301). A client that speaks neither of them is refused, one without ALPN
// gets HTTP/1.1.
//
// Knows nothing of sockets: ciphertext goes in and comes out as bytes.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/tls_files.h"

namespace portolan::http {

enum class Protocol { kHttp1, kHttp2 };

struct SslFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using TlsContext = std::unique_ptr<SSL_CTX, SslFree>;

// Any thread. An error says why the identity cannot be used. Streams made of a context keep what
// they need of it.
absl::StatusOr<TlsContext> MakeTlsContext(const TlsIdentity& identity);

// One thread. Untrusted bytes.
class TlsStream {
 public:
  enum class State {
    kHandshaking,
    kOpen,
    kEnded,   // the peer sends no more; it may still be sent to
    kFailed,  // what output() holds is to be sent, then the connection closed
  };

  explicit TlsStream(SSL_CTX* context);

  // Appends to `plaintext` what `ciphertext` carried, at most as many bytes.
  void Receive(std::string_view ciphertext, std::string& plaintext);

  // Takes from the front of `plaintext` what goes into one record, for output(); returns how many
  // bytes that was, none once it failed. REQUIRES: the handshake is over.
  size_t Send(std::string_view plaintext);

  // Says that no more is sent.
  void End();

  // For the peer. The owner sends and erases from the front.
  std::string& output() { return output_; }
  const std::string& output() const { return output_; }

  State state() const { return state_; }
  // Of what ALPN chose. REQUIRES: the handshake is over.
  Protocol protocol() const;
  // Why it failed, in OpenSSL's words.
  std::string_view error() const { return error_; }

 private:
  void Read(std::string& plaintext);
  void Fail();
  void TakeOutput();

  std::unique_ptr<SSL, SslFree> ssl_;
  BIO* from_peer_;  // both ssl_'s own
  BIO* to_peer_;
  State state_ = State::kHandshaking;
  std::string output_;
  std::string error_;
};

}  // namespace portolan::http
