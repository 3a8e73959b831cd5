// DNS over TLS servers for tests, on loopback.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "dns/upstream/framing.h"
#include "dns/upstream/server.h"
#include "dns/upstream/tls.h"
#include "tests/common/certificates.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns::test {

using portolan::test::Identity;
using portolan::test::MakeIdentity;
using portolan::test::PemFiles;

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
