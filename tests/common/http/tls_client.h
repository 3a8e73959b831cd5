// A blocking TLS client for tests of the server.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/http/tls.h"
#include "tests/common/http/served.h"

namespace portolan::http {

class TlsClient {
 public:
  struct Options {
    std::string_view alpn;  // "h2,http/1.1"
    int version = 0;        // TLS1_2_VERSION; 0: any
  };

  explicit TlsClient(const SocketAddress& address) : TlsClient(address, Options()) {}
  TlsClient(const SocketAddress& address, const Options& options)
      : client_(address), context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_options(context_.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (options.version != 0) {
      SSL_CTX_set_security_level(context_.get(), 0);  // which allows 1.1
      SSL_CTX_set_min_proto_version(context_.get(), options.version);
      SSL_CTX_set_max_proto_version(context_.get(), options.version);
    }
    ssl_.reset(SSL_new(context_.get()));
    const std::string alpn = AlpnList(options.alpn);
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                        static_cast<unsigned>(alpn.size()));
    SSL_set_fd(ssl_.get(), client_.fd());
  }

  // False: refused, and error() says why.
  bool Handshake() {
    ERR_clear_error();
    return SSL_connect(ssl_.get()) == 1;
  }
  static std::string error() {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != nullptr ? reason : "";
  }

  std::string alpn() const {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &length);
    return {reinterpret_cast<const char*>(name), length};
  }
  // Whether the server showed it.
  bool Sees(X509* certificate) const {
    return X509_cmp(SSL_get0_peer_certificate(ssl_.get()), certificate) == 0;
  }

  bool Send(std::string_view bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  void End() { SSL_shutdown(ssl_.get()); }

  // Reads until the server says that no more comes, or until `until` was read.
  std::string Read(std::string_view until = {}) {
    std::string got;
    char buffer[16384];
    for (size_t seen = 0; until.empty() || got.find(until, seen) == std::string::npos;) {
      seen = got.size() - std::min(got.size(), until.size());
      pollfd readable{client_.fd(), POLLIN, 0};
      if (SSL_pending(ssl_.get()) == 0 && poll(&readable, 1, 10000) != 1) return got + "<timeout>";
      const int n = SSL_read(ssl_.get(), buffer, sizeof buffer);
      if (n <= 0) {
        const bool told = SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN;
        return told ? got : got + "<error>";
      }
      got.append(buffer, static_cast<size_t>(n));
    }
    return got;
  }

  SSL* ssl() { return ssl_.get(); }
  Client& raw() { return client_; }

 private:
  static std::string AlpnList(std::string_view names) {
    std::string list;
    while (!names.empty()) {
      const std::string_view name = names.substr(0, names.find(','));
      list.push_back(static_cast<char>(name.size()));
      list.append(name);
      names.remove_prefix(std::min(names.size(), name.size() + 1));
    }
    return list;
  }

  Client client_;
  TlsContext context_;
  std::unique_ptr<SSL, SslFree> ssl_;
};

}  // namespace portolan::http
