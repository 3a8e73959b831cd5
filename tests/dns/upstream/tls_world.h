// DNS over TLS servers for tests: a CA made on the spot, and a server on loopback whose certificate
// it signed.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "dns/upstream/framing.h"
#include "dns/upstream/server.h"
#include "dns/upstream/tls.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns::test {

struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

struct Identity {
  std::unique_ptr<EVP_PKEY, X509Free> key{EVP_EC_gen("P-256")};
  std::unique_ptr<X509, X509Free> certificate{X509_new()};
};

// Valid from a day ago for `days`, for the names of `alternative` ("DNS:a.example,IP:127.0.0.1");
// signed by `issuer`, or by itself as a CA.
inline Identity MakeIdentity(const char* name, const Identity* issuer, const char* alternative = "",
                             long days = 2) {
  constexpr long kDay = 24 * 3600;
  Identity made;
  X509* x = made.certificate.get();
  static long serial = 1;
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  X509_gmtime_adj(X509_getm_notBefore(x), -10 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(x), (days - 1) * kDay);
  X509_set_pubkey(x, made.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  const Identity& signer = issuer != nullptr ? *issuer : made;
  X509_set_issuer_name(x, X509_get_subject_name(signer.certificate.get()));
  const auto extend = [x](int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_nconf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  if (issuer == nullptr) extend(NID_basic_constraints, "critical,CA:TRUE");
  if (*alternative != '\0') extend(NID_subject_alt_name, alternative);
  EXPECT_GT(X509_sign(x, signer.key.get(), EVP_sha256()), 0);
  return made;
}

// Files that last as long as the test.
class PemFiles {
 public:
  PemFiles() {
    char path[] = "/tmp/portolan_tls_XXXXXX";
    folder_ = mkdtemp(path);
  }
  ~PemFiles() { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const Identity& identity) {
    const std::string path = folder_ + "/" + name;
    FILE* file = fopen(path.c_str(), "w");
    PEM_write_X509(file, identity.certificate.get());
    fclose(file);
    return path;
  }
  std::string WriteKey(const std::string& name, const Identity& identity) {
    const std::string path = folder_ + "/" + name;
    FILE* file = fopen(path.c_str(), "w");
    PEM_write_PrivateKey(file, identity.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    return path;
  }
  std::string WriteText(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }

 private:
  std::string folder_;
};

// Answers every question with one address.
class TlsServer {
 public:
  TlsServer(EventLoop& loop, const Identity& identity) : loop_(loop) {
    signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to clients that have gone
    context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(context_.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), identity.key.get());
    static const unsigned char kId[] = "test";
    SSL_CTX_set_session_id_context(context_.get(), kId, sizeof kId);
    fd_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), length), 0);
    EXPECT_EQ(listen(fd_.get(), 16), 0);
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &length);
    address = SocketAddress{*IpAddress::Parse("127.0.0.1"), ntohs(at.sin_port)};
    watch_ = loop.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnAcceptable(); });
  }

  SSL_CTX* context() { return context_.get(); }
  // With the server's certificate checked against `name`.
  upstream::ServerConfig Config(const std::string& name) const {
    upstream::ServerConfig config(address);
    config.tls = true;
    config.tls_name = name;
    return config;
  }
  void CloseAll() { connections_.clear(); }

  SocketAddress address;
  size_t accepted = 0;
  std::vector<Bytes> queries;
  std::string asked_name;  // SNI of the last connection

 private:
  struct Connection {
    Fd fd;
    std::unique_ptr<SSL, upstream::SslFree> ssl;
    EventLoop::Watch watch;
    upstream::Framing frames;
  };

  void OnAcceptable() {
    Fd fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) return;
    ++accepted;
    Connection& c = *connections_.emplace_back(std::make_unique<Connection>());
    c.fd = std::move(fd);
    c.ssl.reset(SSL_new(context_.get()));
    SSL_set_fd(c.ssl.get(), c.fd.get());
    SSL_set_accept_state(c.ssl.get());
    c.watch = loop_.AddWatch(c.fd.get(), EventLoop::Interest::kRead, [this, &c] { OnReadable(c); });
  }

  void OnReadable(Connection& c) {
    while (true) {
      const auto room = c.frames.Room();
      const int n = SSL_read(c.ssl.get(), room.data(), static_cast<int>(room.size()));
      if (const char* name = SSL_get_servername(c.ssl.get(), TLSEXT_NAMETYPE_host_name)) {
        asked_name = name;
      }
      if (n <= 0) {
        if (SSL_get_error(c.ssl.get(), n) != SSL_ERROR_WANT_READ) c.watch.Disable();
        return;
      }
      c.frames.Filled(static_cast<size_t>(n));
      for (std::span<const uint8_t> message; c.frames.Next(message);) {
        queries.emplace_back(message.begin(), message.end());
        const Bytes reply = Answer(queries.back());
        Bytes framed;
        Append16(framed, static_cast<uint16_t>(reply.size()));
        framed.insert(framed.end(), reply.begin(), reply.end());
        SSL_write(c.ssl.get(), framed.data(), static_cast<int>(framed.size()));
      }
    }
  }

  EventLoop& loop_;
  std::unique_ptr<SSL_CTX, upstream::SslFree> context_;
  Fd fd_;
  EventLoop::Watch watch_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace portolan::dns::test
