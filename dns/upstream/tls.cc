#include "dns/upstream/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdlib>

#include "common/status.h"

namespace portolan::dns::upstream {
namespace {

// Debian's ca-certificates. One file, read at load: OpenSSL would read a folder during handshakes.
constexpr char kSystemCas[] = "/etc/ssl/certs/ca-certificates.crt";

std::string LastError() {
  char text[256] = "unknown error";
  if (const unsigned long error = ERR_get_error(); error != 0) {
    ERR_error_string_n(error, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

// OpenSSL gives a session (with TLS 1.3 a ticket) after the handshake; it is the last one's turn.
int KeepSession(SSL* ssl, SSL_SESSION* session) {
  static_cast<TlsSession*>(SSL_get_app_data(ssl))->reset(session);
  return 1;
}

std::string CaFile(const TlsFiles& files) {
  if (!files.ca.empty()) return files.ca;
  const char* from_environment = std::getenv(X509_get_default_cert_file_env());
  return from_environment != nullptr ? from_environment : kSystemCas;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const TlsTrust>> TlsTrust::Load(const TlsFiles& files) {
  std::unique_ptr<SSL_CTX, SslFree> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return FailedPrecondition("TLS: {}", LastError());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), KeepSession);
  const std::string ca = CaFile(files);
  if (SSL_CTX_load_verify_file(context.get(), ca.c_str()) != 1) {
    return InvalidArgument("CA file {}: {}", ca, LastError());
  }
  if (!files.certificate.empty() &&
      SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return InvalidArgument("certificate {}: {}", files.certificate, LastError());
  }
  if (!files.key.empty() &&
      SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return InvalidArgument("key {}: {}", files.key, LastError());
  }
  return std::shared_ptr<const TlsTrust>(new TlsTrust(std::move(context)));
}

TlsStream::TlsStream(const TlsTrust& trust, const std::string& name, const IpAddress& address,
                     TlsSession& session)
    : ssl_(SSL_new(trust.context())),
      from_server_(BIO_new(BIO_s_mem())),
      to_server_(BIO_new(BIO_s_mem())) {
  SSL_set_bio(ssl_.get(), from_server_, to_server_);
  SSL_set_connect_state(ssl_.get());
  SSL_set_app_data(ssl_.get(), &session);
  if (name.empty()) {
    const auto bytes = address.bytes();
    X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl_.get()), bytes.data(), bytes.size());
  } else {
    SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl_.get(), name.c_str());
    SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
  }
  if (session != nullptr) SSL_set_session(ssl_.get(), session.get());
}

TlsStream::~TlsStream() {
  // OpenSSL would take a connection that just ends for a broken one, and its session with it.
  if (state_ == State::kOpen) {
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

void TlsStream::Receive(std::span<const uint8_t> ciphertext) {
  if (!ciphertext.empty()) {
    BIO_write(from_server_, ciphertext.data(), static_cast<int>(ciphertext.size()));
  }
  if (state_ != State::kHandshaking) return;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    state_ = State::kOpen;
  } else {
    Judge(result);
  }
}

size_t TlsStream::Read(std::span<uint8_t> room) {
  if (state_ != State::kOpen) return 0;
  ERR_clear_error();
  const int result = SSL_read(ssl_.get(), room.data(), static_cast<int>(room.size()));
  if (result > 0) return static_cast<size_t>(result);
  Judge(result);
  return 0;
}

void TlsStream::Write(std::span<const uint8_t> plaintext) {
  ERR_clear_error();
  const int result = SSL_write(ssl_.get(), plaintext.data(), static_cast<int>(plaintext.size()));
  if (result <= 0) Judge(result);
}

void TlsStream::TakeOutput(std::vector<uint8_t>& out) {
  const size_t pending = BIO_ctrl_pending(to_server_);
  if (pending == 0) return;
  const size_t at = out.size();
  out.resize(at + pending);
  BIO_read(to_server_, &out[at], static_cast<int>(pending));
}

void TlsStream::Judge(int result) {
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return;
  failure_ = ERR_peek_error();
  ERR_clear_error();
  state_ = State::kFailed;
}

TlsError TlsStream::error() const {
  switch (SSL_get_verify_result(ssl_.get())) {
    case X509_V_OK:
      return TlsError::kHandshake;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return TlsError::kExpired;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return TlsError::kWrongName;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return TlsError::kUntrusted;
    default:
      return TlsError::kOtherCertificate;
  }
}

std::string TlsStream::ErrorText() const {
  const long verified = SSL_get_verify_result(ssl_.get());
  if (verified != X509_V_OK) return X509_verify_cert_error_string(verified);
  const char* reason = ERR_reason_error_string(failure_);
  return reason != nullptr ? reason : "the server ended the handshake";
}

}  // namespace portolan::dns::upstream
