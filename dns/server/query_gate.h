// Who may ask what: asked of every question before any link sees it, and told of the replies to
// those that passed. What a firewall is to names.
//
//   class Gate : public QueryGate { ... };
//   auto server = Server::Start(loop, {.listen = {address}, .gate = &gate});
//
// A question that is refused gets REFUSED or NXDOMAIN with Extended DNS Error 18 (Prohibited,
// RFC 8914 4.19) and the text, and counts as a reply that no plugin made. There is no SOA with the
// NXDOMAIN, whose zone is nobody's here: resolvers do not keep it (RFC 2308 5).
//
// The worker's thread; both calls are part of the cost of each query.
#pragma once

#include <cstdint>
#include <string_view>

#include "dns/exchange.h"

namespace portolan::dns {

class QueryGate {
 public:
  virtual ~QueryGate() = default;

  enum class Ruling : uint8_t { kPass, kRefused, kNxDomain };
  struct Decision {
    Ruling ruling = Ruling::kPass;
    // For the Extended DNS Error, as long as Exchange::AddExtendedError wants it. Empty: there is
    // none.
    std::string_view why = {};
    // Of a question that passes: no link asks for the name with another end of the search list.
    bool as_asked = false;
    // The gate's own: OnReply finds it in the exchange (gate_mark).
    uint64_t mark = 0;
  };

  // kExplained: nobody sent the question, it is only to be seen how it would be answered.
  enum class Asker : uint8_t { kClient, kExplained };
  virtual Decision OnQuery(const Exchange& exchange, Asker asker) = 0;

  // The reply is about to be sent: nobody who waits for it has it before this returns. Not of
  // questions that are explained, nor of streams.
  virtual void OnReply(const Exchange& exchange) = 0;
};

}  // namespace portolan::dns
