// A link of the chain: one Corefile directive.
//
// Each worker has its own instances, so a plugin needs no locks; all methods run on that worker's
// loop. The order of the chain is fixed (CoreDNS's plugin.cfg), whatever the order in the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "common/metrics.h"
#include "dns/exchange.h"

namespace portolan::dns {

enum class Verdict : uint8_t {
  kAnswered,  // the reply is in the exchange
  kNext,      // not mine: ask the next link
  kPending,   // suspended; one of Suspended's ends follows
  kDropped,   // no reply at all
  kStream,    // over TCP: the reply is what Exchange::stream gives
  // The reply in the exchange ends in a CNAME to a name that is not mine: what a resolver finds for
  // it belongs behind it. The server asks (dns/server/alias.h); the reply stands where it cannot.
  kAlias,
};

// What becomes of a reply on its way up.
enum class After : uint8_t {
  kReply,  // it goes on up
  // The links below are asked again, the question that the exchange has now; the reply to that
  // comes by here.
  kAskBelow,
};

class Plugin {
 public:
  virtual ~Plugin() = default;

  // The directive, as in the Corefile.
  virtual std::string_view name() const = 0;

  virtual Verdict OnQuery(Exchange& exchange) = 0;

  // Called for each link the query passed (kNext) or that answered, in reverse order, before the
  // reply is sent. May change the reply in place.
  virtual After OnReply(Exchange&) { return After::kReply; }

  // A question that OnQuery is about to see, while another is still answered: the place to have
  // memory fetched that its answer needs. Called only if LooksAhead.
  virtual void Expect(const wire::Query&) const {}
  virtual bool LooksAhead() const { return false; }

  // Whether it sees questions of class CH; those of other classes than IN and CH reach no link.
  virtual bool TakesChaos() const { return false; }

  // For people, of a question that is explained (dns/server/trace.h) and of no other: asked just
  // before OnQuery what the link is about to do with it, and just before OnReply, where its answer
  // came from elsewhere, what is known of that. An object, whose "says" is a sentence; null:
  // nothing to say. They change nothing.
  virtual nlohmann::json Explain(const Exchange& exchange) const;
  virtual nlohmann::json ExplainReply(const Exchange& exchange) const;

  // Adds this instance's counters; called on another thread, so it reads Counter values only.
  virtual void CollectMetrics(MetricFamilies&) const {}
};

// The links of one server block on one worker.
class Chain {
 public:
  // `written_at` says where in the Corefile each link stands, "Corefile:12"; empty: nowhere.
  explicit Chain(std::vector<std::unique_ptr<Plugin>> links,
                 std::vector<std::string> written_at = {});

  // Tells the links of a question that Down will soon be asked.
  void Expect(const wire::Query& query) const {
    for (const Plugin* link : looking_ahead_) link->Expect(query);
  }

  // Asks the links from exchange.depth() on until one does not say kNext. A query that no link
  // answers is REFUSED. Never kNext.
  Verdict Down(Exchange& exchange) const;

  // Takes a reply up through the links above exchange.depth(). After kAskBelow go Down again.
  After Up(Exchange& exchange) const;

  // All the way, for chains without aliases.
  Verdict Run(Exchange& exchange) const;

  const std::vector<std::unique_ptr<Plugin>>& links() const { return links_; }
  const std::vector<std::string>& written_at() const { return written_at_; }

 private:
  std::vector<std::unique_ptr<Plugin>> links_;
  std::vector<const Plugin*> looking_ahead_;
  std::vector<std::string> written_at_;  // as links_
};

}  // namespace portolan::dns
