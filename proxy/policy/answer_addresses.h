// The addresses that a reply leads to: A and AAAA of its answer section, whatever name they belong
// to, and the ipv4hint and ipv6hint of HTTPS and SVCB records there (RFC 9460 7.3), which browsers
// dial before they have asked for addresses.
//
// Untrusted bytes; bounded by what is given, allocates nothing, any thread. Of a reply that breaks
// off it gives what stands before that, as a client that is as lenient would take it.
//
//   AnswerAddresses addresses(reply);
//   for (AnswerAddresses::Address address; addresses.Next(address);) { ... }
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/time/time.h"
#include "common/ip.h"
#include "dns/wire/message.h"

namespace portolan::proxy {

class AnswerAddresses {
 public:
  explicit AnswerAddresses(std::span<const uint8_t> reply) : reply_(reply), reader_(reply) {}

  struct Address {
    IpAddress ip;
    absl::Duration ttl;  // as the client is told it
  };
  // The next one, false at the end.
  bool Next(Address& out);

 private:
  using Bytes = std::span<const uint8_t>;

  bool NextRecord();
  bool NextHint();
  // Behind the priority and the target of an SVCB record's data; empty if that is malformed.
  static Bytes SvcParams(Bytes rdata);

  const Bytes reply_;
  dns::wire::MessageReader reader_;
  absl::Duration ttl_;  // of the record that is read
  Bytes params_;        // of an HTTPS or SVCB record, those not read yet
  Bytes addresses_;     // not given yet, `width_` bytes each
  size_t width_ = 4;
};

}  // namespace portolan::proxy
