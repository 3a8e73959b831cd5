// The directive `rewrite`: asks other questions than the client did, and makes of their replies
// replies to the client's.
//
//   rewrite [continue|stop] name [exact|prefix|suffix|substring|regex] FROM TO [answer ...]...
//   rewrite [continue|stop] type FROM TO
//   rewrite [continue|stop] class CH IN
//   rewrite [continue|stop] ttl [exact|prefix|suffix|substring|regex] NAME SECONDS|LEAST-|-MOST|...
//   rewrite [continue|stop] rcode [exact|...] NAME FROM TO
//   rewrite [continue|stop] cname [exact|...] FROM TO
//   rewrite [continue|stop] edns0 local|subnet|nsid set|append|replace|unset ... [revert]
//
// https://coredns.io/plugins/rewrite/. `answer auto`, `answer name REGEX TO` and `answer value
// REGEX TO` say how names of the reply are turned back; `exact` is always automatic. Rules of a
// server block are tried in the file's order; the first that applies is the last, unless it says
// `continue`. What is rewritten goes on in the same server block.
//
// Of several rules that applied to one question the replies' names are turned back by the last rule
// first. Sixteen rules at most apply to one question.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/plugins/rewrite_names.h"
#include "dns/plugins/rewrite_options.h"
#include "dns/wire/name.h"
#include "dns/wire/relabel.h"

namespace portolan::dns {

struct RewriteRule {
  enum class Field : uint8_t { kName, kType, kClass, kTtl, kRcode, kCname, kEdns0 };
  enum class Part : uint8_t { kOwner, kValue };
  struct Answer {
    Part part;
    NameMapping mapping;
  };

  Field field = Field::kName;
  bool go_on = false;                  // continue
  std::optional<NameMapping> mapping;  // name, cname
  std::optional<NameMatch> match;      // ttl, rcode
  bool automatic = false;              // names of the reply are turned back by what was asked
  std::vector<Answer> answers;
  uint16_t from = 0;  // type, class, rcode
  uint16_t to = 0;
  uint32_t least_ttl = 0;
  uint32_t most_ttl = 0;
  OptionRule option;  // edns0
  // "Corefile:12", and the line there.
  std::string written_at = {};
  std::string text = {};
};

// (rewrite_config.cc)
absl::Status LoadRewrite(const corefile::Directive& directive, LoadContext& context);

// What the rules make of one question. Made anew for its reply, so that nothing is kept meanwhile.
class RewritePlan {
 public:
  enum class Outcome : uint8_t { kNothing, kApplied, kBadName };

  RewritePlan(const std::vector<RewriteRule>& rules, const Exchange& exchange,
              const wire::Query& client);
  RewritePlan(const RewritePlan&) = delete;
  RewritePlan& operator=(const RewritePlan&) = delete;

  Outcome outcome() const { return outcome_; }
  // Of the question to be asked; else the client's own will do.
  bool asks_other() const { return asks_other_; }
  const wire::NameBuffer& name() const { return name_; }
  uint16_t type() const { return type_; }
  // Null: the client's.
  const OptionList* options() const { return options_changed_ ? &options_ : nullptr; }

  template <typename F>
  void ForEachApplied(F&& visit) const {
    for (size_t i = 0; i < applied_count_; ++i) visit(*applied_[i].rule);
  }

  // Whether there is anything to do for the reply but to turn back the question.
  bool edits_reply() const { return edits_reply_; }
  void Edit(wire::Relabel& reply) const;  // the record it is at
  uint16_t Rcode(uint16_t rcode) const;
  // What `revert` makes of the options of a reply to `client`.
  void RevertOptions(const wire::Query& client, OptionList& of_reply) const;
  bool reverts_options() const { return reverts_options_; }
  // What `cname` rules make of the target of a CNAME. False if they leave it.
  bool MapTarget(const wire::NameBuffer& target, wire::NameBuffer& out) const;

 private:
  static constexpr size_t kMaxApplied = 16;
  // For kName the texts before and after are names_[name_at] and the next.
  struct Applied {
    const RewriteRule* rule;
    size_t name_at;
  };

  bool Apply(const RewriteRule& rule, const Exchange& exchange, const wire::Query& client);
  bool ApplyName(const RewriteRule& rule);
  void EditName(RewriteRule::Part part, wire::NameBuffer& name) const;
  bool TurnBack(const Applied& applied, RewriteRule::Part part, wire::TextBuffer& text) const;
  const wire::TextBuffer& text() const { return names_[name_count_ - 1]; }

  Outcome outcome_ = Outcome::kNothing;
  bool asks_other_ = false;
  bool edits_reply_ = false;
  bool options_changed_ = false;
  bool reverts_options_ = false;
  uint16_t type_;
  uint16_t class_;
  std::array<Applied, kMaxApplied> applied_;
  size_t applied_count_ = 0;
  std::array<wire::TextBuffer, kMaxApplied + 1> names_;
  size_t name_count_ = 1;
  wire::NameBuffer name_;
  OptionList options_;
};

class Rewrite : public Plugin {
 public:
  explicit Rewrite(std::vector<RewriteRule> rules);

  std::string_view name() const override { return "rewrite"; }
  Verdict OnQuery(Exchange& exchange) override;
  After OnReply(Exchange& exchange) override;
  // The rules that apply.
  nlohmann::json Explain(const Exchange& exchange) const override;
  bool TakesChaos() const override { return rewrites_class_; }
  // portolan_rewrite_questions_total{outcome}.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  bool AskTarget(const RewritePlan& plan, Exchange& exchange);
  void WriteReply(const RewritePlan& plan, Exchange& exchange);
  Verdict Fail(Exchange& exchange);

  const std::vector<RewriteRule> rules_;
  bool rewrites_class_ = false;
  bool rewrites_replies_ = false;  // of questions that stay as they are
  Counter rewritten_;
  Counter bad_name_;
  Counter too_deep_;
  Counter malformed_;
};

}  // namespace portolan::dns
