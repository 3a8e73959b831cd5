#include "common/http/tls.h"

#include <algorithm>
#include <array>

#include "common/openssl.h"
#include "common/status.h"

namespace portolan::http {
namespace {

constexpr size_t kRecordBytes = 16 * 1024;
// TLS 1.3 has no others.
constexpr char kTls12Ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
// What we speak, as in RFC 7301: each with its length before it, the better one first.
constexpr std::string_view kAlpn = "\x02h2\x08http/1.1";

// What a client reads that took the port for one without TLS.
constexpr std::string_view kNoTls =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
    "\r\nthis port speaks HTTPS\n";

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* length,
                   const unsigned char* offered, unsigned int offered_length, void*) {
  unsigned char* out = nullptr;
  const int result =
      SSL_select_next_proto(&out, length, Bytes(kAlpn), kAlpn.size(), offered, offered_length);
  *chosen = out;
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool UseCertificates(SSL_CTX* context, const std::string& pem) {
  const BioPtr reader = PemReader(pem);
  bool first = true;
  while (const X509Ptr next{PEM_read_bio_X509(reader.get(), nullptr, NoPassphrase, nullptr)}) {
    const bool used = first ? SSL_CTX_use_certificate(context, next.get()) == 1
                            : SSL_CTX_add1_chain_cert(context, next.get()) == 1;
    if (!used) return false;
    first = false;
  }
  const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (ended && !first) ERR_clear_error();
  return ended && !first;
}

}  // namespace

absl::StatusOr<TlsContext> MakeTlsContext(const TlsIdentity& identity) {
  ERR_clear_error();
  TlsContext made(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = made.get();
  if (context == nullptr) return FailedPrecondition("TLS: {}", TakeOpensslReason());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kTls12Ciphers);
  // A connection that ends without a goodbye is no error: HTTP says itself what is complete.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_PRIORITIZE_CHACHA |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  // Sessions are the clients' to keep, in tickets.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_alpn_select_cb(context, ChooseProtocol, nullptr);
  if (!UseCertificates(context, identity.certificates)) {
    return InvalidArgument("certificate: {}", TakeOpensslReason());
  }
  const KeyPtr key = ReadKey(identity.key);
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    return InvalidArgument("key: {}", TakeOpensslReason());
  }
  return made;
}

TlsStream::TlsStream(SSL_CTX* context)
    : ssl_(SSL_new(context)), from_peer_(BIO_new(BIO_s_mem())), to_peer_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_.get(), from_peer_, to_peer_);
  SSL_set_accept_state(ssl_.get());
}

void TlsStream::Receive(std::string_view ciphertext, std::string& plaintext) {
  if (state_ == State::kFailed || state_ == State::kEnded || ciphertext.empty()) return;
  ERR_clear_error();
  BIO_write(from_peer_, ciphertext.data(), static_cast<int>(ciphertext.size()));
  if (state_ == State::kHandshaking) {
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
      state_ = State::kOpen;
    } else if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
      Fail();
    }
  }
  if (state_ == State::kOpen) Read(plaintext);
  TakeOutput();
}

void TlsStream::Read(std::string& plaintext) {
  std::array<char, kRecordBytes> buffer;
  while (true) {
    const int n = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (n > 0) {
      plaintext.append(buffer.data(), static_cast<size_t>(n));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), n);
    if (error == SSL_ERROR_ZERO_RETURN) {
      state_ = State::kEnded;
    } else if (error != SSL_ERROR_WANT_READ) {
      Fail();
    }
    return;
  }
}

size_t TlsStream::Send(std::string_view plaintext) {
  if (state_ == State::kFailed || plaintext.empty()) return 0;
  ERR_clear_error();
  const size_t n = std::min(plaintext.size(), kRecordBytes);
  const bool sent = SSL_write(ssl_.get(), plaintext.data(), static_cast<int>(n)) > 0;
  if (!sent) Fail();
  TakeOutput();
  return sent ? n : 0;
}

void TlsStream::End() {
  if (state_ != State::kOpen && state_ != State::kEnded) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  TakeOutput();
}

Protocol TlsStream::protocol() const {
  const unsigned char* name = nullptr;
  unsigned int length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &length);
  return length == 2 ? Protocol::kHttp2 : Protocol::kHttp1;
}

void TlsStream::Fail() {
  const bool no_tls = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST;
  error_ = ERR_peek_last_error() == 0 ? "the peer ended the handshake" : TakeOpensslReason();
  state_ = State::kFailed;
  if (no_tls) output_ += kNoTls;
}

void TlsStream::TakeOutput() {
  char* bytes = nullptr;
  const long pending = BIO_get_mem_data(to_peer_, &bytes);
  if (pending <= 0) return;
  output_.append(bytes, static_cast<size_t>(pending));
  BIO_reset(to_peer_);
}

}  // namespace portolan::http
