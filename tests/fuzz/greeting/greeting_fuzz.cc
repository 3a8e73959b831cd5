// The first bytes of a connection, as they are and as a ClientHello cut into records. Whatever part
// of them is there first, what it tells is what all of them tell, and a name that is told is one.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "proxy/policy/greeting.h"

namespace portolan::proxy {
namespace {

using Bytes = std::span<const uint8_t>;
using Kind = Greeting::Kind;

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsSame(const Greeting& a, const Greeting& b) {
  const Bytes name = a.name.view(), other = b.name.view();
  return a.kind == b.kind && a.address == b.address &&
         std::equal(name.begin(), name.end(), other.begin(), other.end());
}

void Check(const Greeting& greeting, size_t size) {
  if (greeting.kind == Kind::kTooLong) Require(size >= Greeting::kMostBytes);
  if (greeting.kind != Kind::kName) return;
  dns::wire::NameBuffer again;
  const Bytes name = greeting.name.view();
  Require(dns::wire::ReadName(name, 0, again) == name.size());
  Require(std::none_of(name.begin(), name.end(), [](uint8_t c) { return c >= 'A' && c <= 'Z'; }));
}

void Read(Bytes bytes) {
  const Greeting whole = ReadGreeting(bytes, false);
  Check(whole, bytes.size());
  const Greeting all = ReadGreeting(bytes, true);
  Require(all.kind != Kind::kUnfinished);
  Check(all, bytes.size());
  if (whole.kind != Kind::kUnfinished) Require(IsSame(whole, all));
  // All parts of what is short, some of what is long.
  const size_t step = 1 + bytes.size() / 64;
  for (size_t size = 0; size < bytes.size(); size += step) {
    const Greeting part = ReadGreeting(bytes.first(size), false);
    if (part.kind != Kind::kUnfinished) Require(IsSame(part, whole));
  }
}

// As a handshake in records of so many bytes.
std::vector<uint8_t> InRecords(Bytes handshake, size_t size) {
  std::vector<uint8_t> bytes;
  while (!handshake.empty()) {
    const Bytes record = handshake.first(std::min(size, handshake.size()));
    bytes.insert(bytes.end(), {0x16, 3, 1, static_cast<uint8_t>(record.size() >> 8),
                               static_cast<uint8_t>(record.size())});
    bytes.insert(bytes.end(), record.begin(), record.end());
    handshake = handshake.subspan(record.size());
  }
  return bytes;
}

}  // namespace
}  // namespace portolan::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace portolan::proxy;
  const std::span<const uint8_t> bytes(data, size);
  Read(bytes);
  constexpr size_t kHeader = 5;
  if (size <= kHeader || data[0] != 0x16) return 0;
  // What is in one record tells the same in many.
  const auto handshake = bytes.subspan(kHeader);
  if (handshake.size() > Greeting::kMostBytes / 4) return 0;
  const Greeting one = ReadGreeting(InRecords(handshake, handshake.size()), false);
  for (const size_t cut : {size_t{3}, size_t{100}}) {
    const auto cut_up = InRecords(handshake, cut);
    Read(cut_up);
    Require(IsSame(one, ReadGreeting(cut_up, false)));
  }
  return 0;
}
