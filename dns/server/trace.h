// How one question came to its reply, link by link, for people: what explain shows.
//
// An ordinary question has no part in it, not even a branch. A question that is explained goes
// through chains made for it alone (QueryHandler::Explain), whose every link stands in front of the
// real one, does what that does, and writes down what it was. Plugin::Explain says by which rule.
//
// The worker's thread; the Trace may go elsewhere once the question is answered.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "dns/server/routes.h"

namespace portolan::dns {

struct Trace {
  // Of the server block: CoreDNS's label of its metrics, "dns://:53", and the zone in it that the
  // name asked belongs to. Empty: in none.
  std::string server;
  std::string zone;
  // The directive whose link made the reply; empty: none did.
  std::string plugin;
  // Why the gate did not let it pass (QueryGate::Decision::why).
  std::string gate;
  // The reply says which name of the search list it is for (Exchange::completed).
  bool completed = false;
  // From the question to its reply.
  double took_ms = 0;
  // Links that had something to say, in order:
  // {"plugin", "at"?, "zone"?, "outcome", "asks"?, "tookMs"?} and what Plugin::Explain said. "at"
  // is the place in the Corefile, "zone" is there when it is another than above, "asks" is the
  // question that goes on from here. "outcome" is
  // "answered", "passed on", "waits", "asked again" (it waited, and sees the question once more),
  // "asks again" (on the way up), "alias" or "dropped".
  nlohmann::json steps = nlohmann::json::array();
};

// To the microsecond.
double Milliseconds(std::chrono::steady_clock::duration took);

// The zones of `routes`, with links that write down in `trace` what theirs do. The real links are
// kept alive, and are not moved: as long as one question goes this way others may go theirs.
std::vector<ZoneChain> Traced(const Routes& routes, const std::shared_ptr<Trace>& trace);

}  // namespace portolan::dns
