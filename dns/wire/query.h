// A DNS query as the hot path needs it, read out of untrusted bytes in one place.
//
// RFC 1035 4.1 (message), RFC 6891 (EDNS), RFC 4343 (case). Parsing allocates nothing, reads no
// byte outside the message and is done once per query. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace portolan::dns::wire {

inline constexpr size_t kHeaderBytes = 12;
// RFC 1035 2.3.4: 255 bytes with the length bytes and the root label.
inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxLabels = 127;
// RFC 1035 4.2.1: what a client without EDNS takes over UDP.
inline constexpr size_t kMinUdpPayload = 512;
inline constexpr size_t kMaxMessageBytes = 65535;

enum class Rcode : uint16_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kBadVers = 16,  // RFC 6891 9; the upper bits stand in the OPT record
};

namespace type {
inline constexpr uint16_t kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kTxt = 16, kAaaa = 28,
                          kSrv = 33, kOpt = 41, kAny = 255;
}  // namespace type

inline constexpr uint16_t kClassIn = 1;
inline constexpr uint16_t kClassChaos = 3;

enum class ParseOutcome : uint8_t {
  kQuery,    // one question, opcode QUERY, class IN, EDNS version 0 or none: answer it
  kDrop,     // shorter than a header, or a response: silence, lest two servers talk forever
  kFormErr,  // not one question, a name that does not parse, a second OPT, bytes that are missing
  kNotImp,   // opcode other than QUERY
  kChaos,    // the same of class CH: for the few who know it
  kRefused,  // another class
  kBadVers,  // an EDNS version above 0 (RFC 6891 6.1.3)
};

struct Query {
  // The whole message. The spans and the struct are valid as long as the receive buffer.
  std::span<const uint8_t> message;
  uint16_t id = 0;
  uint16_t flags = 0;  // header bytes 2 and 3, as sent
  uint16_t type = 0;
  uint16_t qclass = 0;
  // The question as sent (name with its case, type, class), to be echoed; empty if it did not
  // parse.
  std::span<const uint8_t> question;
  // The name folded to lower case, in wire form with the root label: what lookups compare.
  std::array<uint8_t, kMaxNameBytes + 1> name;
  uint8_t name_bytes = 0;
  uint8_t labels = 0;  // without the root
  // Where each label's length byte stands in `name`.
  std::array<uint8_t, kMaxLabels + 1> label_at;

  bool edns = false;
  bool dnssec_ok = false;
  // What the client takes over UDP: 512 without EDNS, never less with it (RFC 6891 6.2.3).
  uint16_t udp_payload = kMinUdpPayload;
  // The OPT record's option bytes; empty without EDNS.
  std::span<const uint8_t> edns_options;

  std::span<const uint8_t> lower_name() const { return {name.data(), name_bytes}; }
  bool recursion_desired() const { return (flags & 0x0100) != 0; }
};

// Fills `out` as far as the bytes allow: for kFormErr, kNotImp, kRefused and kBadVers at least id
// and flags are set, and `question` where it could be read, so that the error can be sent.
ParseOutcome ParseQuery(std::span<const uint8_t> message, Query& out);

}  // namespace portolan::dns::wire
