// TLS: RFC 8446 4.1.2 and 5.1, RFC 6066 3. SSLv3 and all versions of TLS are the same here.
//
// Servers differ in what they take before the ClientHello and in how it may be cut into records,
// and a greeting that one of them takes should not pass for another protocol. So the version of a
// handshake record says nothing (s2n-tls takes any, Go all below 0x1000). Alerts and changes of the
// cipher are stepped over as some do, also in pieces, and records of no bytes too.
//
// s2n-tls steps over records of all types that it does not know, of any version. That is followed
// from 0x14 to 0x1f with a version of TLS; below begin other protocols: 05 03 00 01 02 is SOCKS 5.
#include <algorithm>
#include <array>

#include "proxy/policy/greeting_parts.h"

namespace portolan::proxy {
namespace {

using Kind = Greeting::Kind;

constexpr uint8_t kChangeCipherSpec = 0x14;
constexpr uint8_t kAlert = 0x15;
constexpr uint8_t kHandshake = 0x16;
constexpr size_t kRecordHeaderBytes = 5;
constexpr uint8_t kClientHello = 1;
constexpr uint32_t kServerName = 0;  // the extension, and the only type of name in it
// What is longer is no name.
constexpr size_t kMostNameBytes = 256;

using Bytes = std::span<const uint8_t>;

size_t SizeOf(Bytes record) { return static_cast<size_t>(record[3]) << 8 | record[4]; }

// By the first byte of the version.
bool MayBeVersion(uint8_t type, uint8_t major) {
  if (type == kHandshake) return true;
  return type <= kAlert ? major < 0x10 : major == 3;
}

// Of a version that TLS does not have, an alert and a change of the cipher must be whole: other
// protocols begin with these bytes as well.
bool MayStandBefore(Bytes record) {
  static_assert(kAlert == kChangeCipherSpec + 1);
  if (record[1] == 3 && record[2] <= 4) return true;
  return record[0] <= kAlert && SizeOf(record) == size_t{1} + (record[0] - kChangeCipherSpec);
}

// The bytes of the handshake, whatever records they stand in.
class Handshake {
 public:
  explicit Handshake(Bytes bytes) : rest_(bytes) {}

  // False: there is no further byte, and stop() says why.
  bool Next(uint8_t& byte) {
    if (!FindBytes()) return false;
    byte = rest_.front();
    Step(1);
    return true;
  }
  bool Skip(size_t bytes) {
    while (bytes > 0) {
      if (!FindBytes()) return false;
      const size_t step = std::min({bytes, in_record_, rest_.size()});
      Step(step);
      bytes -= step;
    }
    return true;
  }
  // kUnfinished, or kUnknown: what comes next is no handshake.
  Kind stop() const { return stop_; }

 private:
  void Step(size_t bytes) {
    rest_ = rest_.subspan(bytes);
    in_record_ -= bytes;
  }

  bool FindBytes() {
    while (in_record_ == 0) {
      if (!OpenRecord()) return false;
    }
    return !rest_.empty();
  }

  bool OpenRecord() {
    if (!rest_.empty() && !MayBeTls(rest_[0])) return Stop(Kind::kUnknown);
    if (rest_.size() > 1 && !MayBeVersion(rest_[0], rest_[1])) return Stop(Kind::kUnknown);
    if (rest_.size() < kRecordHeaderBytes) return false;
    const size_t size = SizeOf(rest_);
    if (rest_[0] == kHandshake) {
      rest_ = rest_.subspan(kRecordHeaderBytes);
      in_record_ = size;
      return true;
    }
    if (!MayStandBefore(rest_)) return Stop(Kind::kUnknown);
    if (rest_.size() < kRecordHeaderBytes + size) return false;
    rest_ = rest_.subspan(kRecordHeaderBytes + size);
    return true;
  }

  bool Stop(Kind why) {
    stop_ = why;
    return false;
  }

  Bytes rest_;
  size_t in_record_ = 0;
  Kind stop_ = Kind::kUnfinished;
};

// A ClientHello, after the byte that says it is one.
class ClientHello {
 public:
  explicit ClientHello(Handshake& bytes) : bytes_(bytes) {}

  // All of it is read: one name is to be told, not the first of two.
  Greeting Read() {
    uint32_t size = 0;
    if (!Number(3, size)) return Stopped();
    left_ = size;
    constexpr size_t kVersionAndRandom = 2 + 32;
    // Session id, cipher suites, compression methods.
    if (!Skip(kVersionAndRandom) || !SkipVector(1) || !SkipVector(2) || !SkipVector(1)) {
      return Stopped();
    }
    if (left_ > 0) {
      if (!Number(2, size)) return Stopped();
      if (size != left_) return kMalformedGreeting;
    }
    while (left_ > 0) {
      if (!Extension()) return Stopped();
    }
    return greeting_;
  }

 private:
  Greeting Stopped() const { return {stop_, {}, {}}; }
  bool Malformed() {
    stop_ = Kind::kMalformed;
    return false;
  }

  bool Within(size_t bytes) {
    if (bytes > left_) return Malformed();
    left_ -= bytes;
    return true;
  }
  bool Ran(bool on) {
    // Another record in the middle of a message.
    if (!on && bytes_.stop() == Kind::kUnknown) return Malformed();
    return on;
  }

  bool Number(size_t bytes, uint32_t& value) {
    if (!Within(bytes)) return false;
    value = 0;
    for (size_t i = 0; i < bytes; ++i) {
      uint8_t byte = 0;
      if (!Ran(bytes_.Next(byte))) return false;
      value = value << 8 | byte;
    }
    return true;
  }
  bool Skip(size_t bytes) { return Within(bytes) && Ran(bytes_.Skip(bytes)); }
  bool SkipVector(size_t length_bytes) {
    uint32_t size = 0;
    return Number(length_bytes, size) && Skip(size);
  }

  bool Extension() {
    uint32_t type = 0, size = 0;
    if (!Number(2, type) || !Number(2, size)) return false;
    if (type != kServerName) return Skip(size);
    if (greeting_.kind != Kind::kNoName) return Malformed();  // two of them
    return ServerName(size);
  }

  // A list of one name.
  bool ServerName(uint32_t size) {
    uint32_t list = 0, type = 0, name_bytes = 0;
    if (!Number(2, list) || !Number(1, type) || !Number(2, name_bytes)) return false;
    if (list + 2 != size || type != kServerName || name_bytes + 3 != list ||
        name_bytes > kMostNameBytes) {
      return Malformed();
    }
    std::array<char, kMostNameBytes> name;
    for (size_t i = 0; i < name_bytes; ++i) {
      uint32_t byte = 0;
      if (!Number(1, byte)) return false;
      name[i] = static_cast<char>(byte);
    }
    greeting_ = GreetingOfHost({name.data(), name_bytes});
    return greeting_.kind != Kind::kMalformed || Malformed();
  }

  Handshake& bytes_;
  size_t left_ = 3;  // of the length, then of the message
  Kind stop_ = Kind::kUnfinished;
  Greeting greeting_{Kind::kNoName, {}, {}};
};

}  // namespace

Greeting ReadClientHello(Bytes bytes) {
  Handshake handshake(bytes);
  uint8_t type = 0;
  if (!handshake.Next(type)) return {handshake.stop(), {}, {}};
  if (type != kClientHello) return {Kind::kUnknown, {}, {}};
  return ClientHello(handshake).Read();
}

}  // namespace portolan::proxy
