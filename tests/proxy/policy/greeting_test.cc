// What the first bytes of a client tell: of TLS as OpenSSL makes them, of HTTP as they are written.
#include "proxy/policy/greeting.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace portolan::proxy {
namespace {

using namespace std::string_literals;
using Kind = Greeting::Kind;

std::string WordOf(const Greeting& greeting) {
  switch (greeting.kind) {
    case Kind::kName:
      return dns::wire::NameToText(greeting.name.view());
    case Kind::kAddress:
      return greeting.address.ToString();
    case Kind::kUnfinished:
      return "(unfinished)";
    case Kind::kNoName:
      return "(no name)";
    case Kind::kUnknown:
      return "(unknown)";
    case Kind::kSilent:
      return "(silent)";
    case Kind::kMalformed:
      return "(malformed)";
    case Kind::kTooLong:
      return "(too long)";
    case Kind::kTooSlow:
      break;
  }
  return "(too slow)";
}

std::string Part(std::string_view bytes, bool ended = false) {
  return WordOf(
      ReadGreeting({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, ended));
}

// Of all of it; whatever part is there first tells the same or nothing.
std::string Read(std::string_view bytes) {
  std::string whole = Part(bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string part = Part(bytes.substr(0, size));
    if (part != "(unfinished)") {
      EXPECT_EQ(part, whole) << size << " of " << bytes.size() << " bytes";
    }
  }
  return whole;
}

// What a client sends first.
std::string ClientHello(
    const char* name, const std::function<void(SSL*)>& change = [](SSL*) {}) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  if (name != nullptr) SSL_set_tlsext_host_name(ssl.get(), name);
  change(ssl.get());
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<size_t>(size)};
}

std::string Record(char type, std::string_view bytes) {
  std::string record{type, '\3', '\1', static_cast<char>(bytes.size() >> 8),
                     static_cast<char>(bytes.size())};
  return record.append(bytes);
}
std::string InRecordsOf(size_t size, std::string_view hello) {
  std::string records;
  for (size_t at = 5; at < hello.size(); at += size) {
    records += Record('\x16', hello.substr(at, size));
  }
  return records;
}

TEST(Greeting, AClientHelloTellsItsServerName) {
  EXPECT_EQ(Read(ClientHello("API.Example.com")), "api.example.com.");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_EQ(Read(ClientHello("api.example.com",
                               [&](SSL* ssl) {
                                 SSL_set_min_proto_version(ssl, version);
                                 SSL_set_max_proto_version(ssl, version);
                               })),
              "api.example.com.");
  }
  EXPECT_EQ(Read(ClientHello("api.example.com.")), "api.example.com.");
  EXPECT_EQ(Read(ClientHello(nullptr)), "(no name)");
}

TEST(Greeting, AsLongAsKeysOfAfterTheQuantumComputerMakeIt) {
  const std::string hello = ClientHello("api.example.com", [](SSL* ssl) {
    std::vector<unsigned char> protocols;
    for (int i = 0; i < 200; ++i)
      protocols.insert(protocols.end(), {7, 'a', 'b', 'c', 'd', 'e', 'f', 'g'});
    SSL_set_alpn_protos(ssl, protocols.data(), static_cast<unsigned>(protocols.size()));
  });
  ASSERT_GT(hello.size(), 1800u);
  EXPECT_EQ(Read(hello), "api.example.com.");
  EXPECT_EQ(Read(InRecordsOf(1000, hello)), "api.example.com.");
}

TEST(Greeting, AClientHelloMayBeCutIntoRecordsAndHaveOthersBefore) {
  const std::string hello = ClientHello("api.example.com");
  for (const size_t size : {1, 2, 7, 100}) {
    EXPECT_EQ(Read(InRecordsOf(size, hello)), "api.example.com.") << size;
  }
  EXPECT_EQ(Read(Record('\x16', "") + hello), "api.example.com.");
  EXPECT_EQ(Read(Record('\x15', "\1\x5a") + hello), "api.example.com.");
  EXPECT_EQ(Read(Record('\x14', "\1") + hello), "api.example.com.");
  for (const char major : {'\x00', '\x10', '\xff'}) {  // Go takes the first, s2n-tls all
    std::string other_version = hello;
    other_version[1] = major;
    EXPECT_EQ(Read(other_version), "api.example.com.");
  }
  EXPECT_EQ(Read(Record('\x15', "\1") + Record('\x15', "\x5a") + hello), "api.example.com.");
  EXPECT_EQ(Read(Record('\x18', "\0"s) + hello), "api.example.com.") << "a heartbeat";
  EXPECT_EQ(Read(Record('\x1f', "") + hello), "api.example.com.");
}

TEST(Greeting, WhatIsNoClientHelloIsUnknown) {
  EXPECT_EQ(Read(Record('\x16', "\2\0\0\0"s)), "(unknown)") << "a ServerHello";
  EXPECT_EQ(Read("\x16\x20rest"), "(unknown)");
  EXPECT_EQ(Read(Record('\x15', "three") + "rest"), "(unknown)");
  EXPECT_EQ(Read("\x15\0\0\0\3three"s), "(unknown)") << "of no version of TLS";
  EXPECT_EQ(Read("\x17\x03\x03"), "(unknown)");
  EXPECT_EQ(Read("\x18\x02"), "(unknown)");
  EXPECT_EQ(Read("\x18\x03\x05\0\0"s), "(unknown)");
  EXPECT_EQ(Read("\x05\x03\0\1\2"s), "(unknown)") << "SOCKS 5";
  EXPECT_EQ(Read("\0\0\0\x08\x04\xd2\x16\x2f"s), "(unknown)") << "PostgreSQL";
  EXPECT_EQ(Read("\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0"s), "(unknown)") << "LDAP";
}

// `extensions` as they stand in a ClientHello that is well otherwise.
std::string HelloWith(std::string_view extensions) {
  std::string body = "\3\3"s + std::string(32, 'r') + "\0"s + "\0\2\x13\1"s + "\1\0"s;
  body += static_cast<char>(extensions.size() >> 8);
  body += static_cast<char>(extensions.size());
  body += extensions;
  return Record('\x16', "\1\0"s + static_cast<char>(body.size() >> 8) +
                            static_cast<char>(body.size()) + body);
}

TEST(Greeting, WhatServersCouldTakeForTwoNamesIsMalformed) {
  const std::string name = "\0\0\0\6\0\4\0\0\1a"s;
  EXPECT_EQ(Read(HelloWith(name)), "a.");
  EXPECT_EQ(Read(HelloWith(name + name)), "(malformed)");
  EXPECT_EQ(Read(HelloWith("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b"s)), "(malformed)") << "a list of two";
  EXPECT_EQ(Read(HelloWith("\0\0\0\6\0\4\1\0\1a"s)), "(malformed)") << "another type of name";
  EXPECT_EQ(Read(HelloWith("\0\0\0\0"s)), "(malformed)");
  EXPECT_EQ(Read(HelloWith("\0\0\0\6\0\4\0\0\2a"s)), "(malformed)");
  EXPECT_EQ(Read(HelloWith("\0\0\0\6\0\4\0\0\1\0"s)), "(malformed)") << "a zero byte";
  EXPECT_EQ(Read(HelloWith("\0\0\0\x0b\0\x09\0\0\6a\\097b"s)), "(malformed)") << "an escape";
  EXPECT_EQ(Read(HelloWith("\0\x0a\0\xff"s)), "(malformed)") << "longer than the message";
  EXPECT_EQ(Read(HelloWith("")), "(no name)");
}

TEST(Greeting, AnAddressInPlaceOfAServerNameIsToldAsOne) {
  EXPECT_EQ(Read(ClientHello("192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(Read(ClientHello("2001:db8::1")), "2001:db8::1");
}

TEST(Greeting, AClientHelloThatIsInterruptedIsMalformed) {
  const std::string hello = ClientHello("api.example.com");
  EXPECT_EQ(Part(hello.substr(0, hello.size() - 1)), "(unfinished)");
  EXPECT_EQ(Part(hello.substr(0, hello.size() - 1), true), "(malformed)");
  EXPECT_EQ(Read(Record('\x16', hello.substr(5, 100)) + Record('\x17', "data")), "(malformed)");
}

TEST(Greeting, ARequestTellsItsHost) {
  EXPECT_EQ(Read("GET / HTTP/1.1\r\nAccept: *\r\nhOST:  API.Example.com:8080 \r\n\r\nbody"),
            "api.example.com.");
  EXPECT_EQ(Read("GET / HTTP/1.1\nHost:api.example.com.\n\n"), "api.example.com.");
  EXPECT_EQ(Read("\r\n\n  GET\t/a b  http/1.1\r\nHost: a_b-c\r\n\r\n"), "a_b-c.");
  EXPECT_EQ(Read("WHATEVER * HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"), "2001:db8::1");
  EXPECT_EQ(Read("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"), "192.0.2.1");
  EXPECT_EQ(Read("GET / HTTP/1.1\r\nHost: 192.0.2\r\n\r\n"), "192.0.2.") << "no address";
  EXPECT_EQ(Read("GET / HTTP/1.0\r\n\r\n"), "(no name)");
  EXPECT_EQ(Read("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "(no name)");
}

TEST(Greeting, AnAuthorityInTheTargetCountsAndTheHostIsTheSame) {
  EXPECT_EQ(Read("GET http://api.example.com:80/x?http://b HTTP/1.1\r\n\r\n"), "api.example.com.");
  EXPECT_EQ(Read("GET http://api.example.com HTTP/1.1\r\nHost: API.example.com:1\r\n\r\n"),
            "api.example.com.");
  EXPECT_EQ(Read("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
            "api.example.com.");
  EXPECT_EQ(Read("GET /http://b HTTP/1.1\r\nHost: a\r\n\r\n"), "a.");
  EXPECT_EQ(Read("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), "(malformed)");
  EXPECT_EQ(Read("GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"), "(malformed)");
  EXPECT_EQ(Read("GET http:///x HTTP/1.1\r\nHost: b\r\n\r\n"), "(malformed)");
  EXPECT_EQ(Read("GET a HTTP/1.1\r\nHost: b\r\n\r\n"), "(malformed)");
  EXPECT_EQ(Read("GET HTTP/1.1\r\nHost: b\r\n\r\n"), "(malformed)");
}

TEST(Greeting, WhatServersTakeInDifferentWaysIsMalformed) {
  for (const char* head : {
           "Host: a\r\nHost: a",  // two
           "Host: a\r\n b",       // folded
           " Host: a",            // folded into the request line
           "Host : a",            // a blank before the colon
           "Host: a, b",          //
           "Host: a b",           //
           "Host: a..b",          //
           "Host: a\\b",          //
           "Host: a:b",           // no port
           "Host: a:1:2",         //
           "Host: [a]",           // no address
           "Host: [::1",          //
           "Host: [::1]a",        //
           "Host: u@a",           //
           "Accept: a\rHost: b",  // a line for some
           "no field",            //
           ": a",                 //
       }) {
    EXPECT_EQ(Read("GET / HTTP/1.1\r\n"s + head + "\r\n\r\n"), "(malformed)") << head;
  }
  EXPECT_EQ(Read("GET / HTTP/1.1\rHost: a\r\n\r\n"), "(malformed)");
}

// As Python's http.server does, and RFC 9112 3 lets all.
TEST(Greeting, OtherWhiteSpaceInARequestLineHidesNoHost) {
  for (const char blank : {'\v', '\f', '\r', '\x1c', '\x1f'}) {
    for (const std::string& line : {"GET"s + blank + "/ HTTP/1.1", "GET /"s + blank + "HTTP/1.1",
                                    "GET / "s + blank + "HTTP/1.1", "GET / HTTP/1.1"s + blank + " ",
                                    "M-SEARCH"s + blank + "* HTTP/1.1", "GET"s + blank + "/"}) {
      EXPECT_EQ(Read(line + "\r\nHost: b\r\n\r\n"), "(malformed)") << line;
    }
  }
  for (const char blank : {'\x85', '\xa0'}) {
    EXPECT_EQ(Read("GET"s + blank + "/ HTTP/1.1\r\nHost: b\r\n\r\n"), "b.");
    EXPECT_EQ(Read("GET / "s + blank + "HTTP/1.1\r\nHost: b\r\n\r\n"), "b.");
  }
  for (const char blank : {'\t', '\v', '\f', '\x1c', '\x1d', '\x1e', '\x1f', '\x85', '\xa0'}) {
    EXPECT_EQ(Read("GET /"s + blank + "x\r\nHost: b\r\n\r\n"), "(malformed)");
  }
  EXPECT_EQ(Read("GET /\xc3\xa0 HTTP/1.1\r\nHost: b\r\n\r\n"), "b.") << "a letter in UTF-8";
}

TEST(Greeting, ARequestWithoutAVersionTellsTheNameInItsTargetOrIsMalformed) {
  EXPECT_EQ(Read("GET http://api.example.com/\r\n"), "api.example.com.");
  EXPECT_EQ(Read("GET http://api.example.com/ x\r\n"), "api.example.com.");
  EXPECT_EQ(Read("DESCRIBE rtsp://api.example.com/x RTSP/1.0\r\n"), "api.example.com.");
  EXPECT_EQ(Read("GET /\r\n"), "(malformed)");
}

TEST(Greeting, OtherProtocolsAreUnknownAsSoonAsTheyAre) {
  for (const std::string& first :
       {"EHLO api.example.com\r\n"s, "SSH-2.0-x\r"s, "*1\r"s, "AMQP\0"s, "{"s, "get http://a\r\n"s,
        "CONNECT {\"verbose\":false}\r\n"s, "INVITE sip:a@b SIP/2.0\r\n"s, "USER /a b\r\n"s,
        "PRI * HTTP/2.0\r\n"s}) {
    EXPECT_EQ(Read(first), "(unknown)") << first;
    EXPECT_EQ(Part(first.substr(0, first.size() - 1)), first.size() > 1 ? "(unfinished)" : Part(""))
        << first;
  }
}

TEST(Greeting, TheEndOfTheStreamEndsWhatIsThere) {
  EXPECT_EQ(Part("", true), "(silent)");
  EXPECT_EQ(Part("\r\n", true), "(unknown)");
  EXPECT_EQ(Part("hello", true), "(unknown)");
  EXPECT_EQ(Part("GET http://a/", true), "a.");
  EXPECT_EQ(Part("GET / HTTP/1.1", true), "(no name)");
  EXPECT_EQ(Part("GET / HTTP/1.1\r\nHost: a", true), "a.");
  EXPECT_EQ(Part("\x16", true), "(malformed)");
}

TEST(Greeting, WhatDoesNotEndIsTooLong) {
  std::string fields = "GET / HTTP/1.1\r\n";
  while (fields.size() < Greeting::kMostBytes) fields += "Accept: a\r\n";
  const std::string full = fields.substr(0, Greeting::kMostBytes);
  EXPECT_EQ(Part(full.substr(1), false), "(unfinished)");
  EXPECT_EQ(Part(full), "(too long)");
  EXPECT_EQ(Part(full, true), "(too long)") << "what ended is not what was read";
  EXPECT_EQ(Part(full + "Host: a\r\n\r\n"), "(too long)");
  EXPECT_EQ(Part(std::string(Greeting::kMostBytes, 'a')), "(too long)");
}

}  // namespace
}  // namespace portolan::proxy
