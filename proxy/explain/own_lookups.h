// The lookups that a name leads to, each asked of the sidecar itself: straight of a worker's chains
// (dns/server/explained_questions.h), which say how they came to their answer. The main loop's
// thread; nothing blocks.
//
// Not by way of the sidecar's own DNS listener: a worker would have to tell such a datagram from
// all others, for each of them. So the way of ordinary questions is the same as if there were no
// explain, and what is shown is that same chain with its caches and upstreams. The client is the
// pod's address, as for the application's questions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "dns/server/trace.h"

namespace portolan::proxy {

// Of a lookup with an answer: the name under which the sidecar learns where it leads.
std::string NameLearned(const nlohmann::json& lookup);

struct OwnAnswer {
  std::vector<uint8_t> reply;  // empty: none
  dns::Trace trace;
};
// Calls `done` once, on the main loop and not before it returns.
using AskOwn = std::function<void(std::vector<uint8_t> query, std::function<void(OwnAnswer)> done)>;

// A destroyed one calls nobody.
class OwnLookups {
 public:
  // The lookups up to the first with an answer, in order:
  // {"name", "rcode", "answers", "completed"?, "truncated"?, "extendedErrors"?, "tookMs", "server",
  // "zone", "plugin", "steps"}, or "error" instead of "rcode" and "answers" where there was no
  // answer, or none within `patience` of them all, which is then the last. "completed": the name
  // that `autopath` found.
  using Done = std::function<void(nlohmann::json lookups)>;

  OwnLookups(EventLoop& loop, AskOwn ask, std::vector<std::string> names, uint16_t type,
             absl::Duration patience, Done done);
  ~OwnLookups();

 private:
  struct Alive {};

  void Ask();
  void OnAnswer(uint16_t id, const OwnAnswer& answer);
  void Next();
  void Finish();

  const AskOwn ask_;
  const std::vector<std::string> names_;
  const uint16_t type_;
  const Done done_;
  std::random_device random_;
  size_t at_ = 0;
  nlohmann::json lookups_ = nlohmann::json::array();
  EventLoop::Timer patience_;
  std::shared_ptr<Alive> alive_ = std::make_shared<Alive>();
};

}  // namespace portolan::proxy
