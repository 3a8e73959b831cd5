// The name by which a client greets a server, read from the first bytes that it sends: the server
// name of a TLS ClientHello (RFC 6066 3) or the host of an HTTP/1 request (RFC 9112 3.2).
//
// Told by whom policy would keep from other names on an address, so it is strict where servers are
// lenient in different ways: what two of them could take for two names is malformed, and so is what
// no client of these days sends (HTTP/0.9, folded header fields). Names in an encrypted ClientHello
// are not seen: the outer one is told. HTTP/2 without TLS is neither of the two protocols.
//
// Pure: any thread, and no allocation but for what is in words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "common/ip.h"
#include "dns/wire/name.h"

namespace portolan::proxy {

struct Greeting {
  enum class Kind : uint8_t {
    kUnfinished,  // more bytes may tell
    kName,
    kAddress,    // an IP address stands in the place of the name
    kNoName,     // a greeting that has none
    kUnknown,    // neither TLS nor HTTP/1
    kSilent,     // nothing came before the end of the stream
    kMalformed,  // one of the two, but not as the standards have it
    kTooLong,    // not finished within kMostBytes
    kTooSlow,    // not finished in time; told by who waits for it
  };
  // Read at most.
  static constexpr size_t kMostBytes = 16 * 1024;

  Kind kind = Kind::kUnfinished;
  dns::wire::NameBuffer name;  // of kName: in lower case, with the root label
  IpAddress address;           // of kAddress
};

// `bytes`: all since the client's first one. `ended`: none will follow; then it is never
// kUnfinished. What is not kUnfinished stays the same whatever follows.
Greeting ReadGreeting(std::span<const uint8_t> bytes, bool ended);

// "the server name api.example.com.", "a malformed greeting". For logs.
std::string InWords(const Greeting& greeting);

}  // namespace portolan::proxy
