#include "dns/plugins/rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "dns/wire/message.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

using Field = RewriteRule::Field;
using Part = RewriteRule::Part;

// Of Exchange::asked_instead: what the rules made of the question, or the target of a CNAME, whose
// TTL stands in the lower bits.
constexpr uint32_t kRewritten = 0;
constexpr uint32_t kTarget = 0x80000000;

bool IsTarget(std::optional<uint32_t> note) { return note.has_value() && (*note & kTarget) != 0; }

void WriteLowerText(const wire::NameBuffer& name, wire::TextBuffer& out) {
  wire::NameBuffer lower = name;
  wire::LowerName(std::span(lower.bytes).first(lower.size));
  wire::WriteText(lower.view(), out);
}

bool EditsReply(const RewriteRule& rule) {
  return rule.automatic || !rule.answers.empty() || rule.field == Field::kTtl ||
         rule.field == Field::kRcode;
}

}  // namespace

RewritePlan::RewritePlan(const std::vector<RewriteRule>& rules, const Exchange& exchange,
                         const wire::Query& client)
    : type_(client.type), class_(client.qclass), options_(client.edns_options) {
  wire::WriteText(client.lower_name(), names_[0]);
  std::copy_n(client.question.begin(), client.name_bytes, name_.bytes.begin());
  name_.size = client.name_bytes;
  for (const RewriteRule& rule : rules) {
    const size_t name_at = name_count_ - 1;
    if (!Apply(rule, exchange, client)) continue;
    if (outcome_ == Outcome::kBadName) return;
    outcome_ = Outcome::kApplied;
    edits_reply_ = edits_reply_ || EditsReply(rule);
    applied_[applied_count_++] = {&rule, name_at};
    if (!rule.go_on || applied_count_ == kMaxApplied) break;
  }
  // Of class CH no link but `chaos` has anything, and that knows its names.
  if (class_ != wire::kClassIn) outcome_ = Outcome::kNothing;
  asks_other_ = outcome_ == Outcome::kApplied && (name_count_ > 1 || type_ != client.type ||
                                                  class_ != client.qclass || options_changed_);
}

bool RewritePlan::Apply(const RewriteRule& rule, const Exchange& exchange,
                        const wire::Query& client) {
  switch (rule.field) {
    case Field::kName:
      return ApplyName(rule);
    case Field::kType:
      if (type_ != rule.from) return false;
      type_ = rule.to;
      return true;
    case Field::kClass:
      if (class_ != rule.from) return false;
      class_ = rule.to;
      return true;
    case Field::kTtl:
    case Field::kRcode:
      return rule.match->Matches(text().view());
    case Field::kCname:
      return true;
    case Field::kEdns0: {
      const bool applied = rule.option.Apply(exchange, client, options_);
      options_changed_ = options_changed_ || applied;
      reverts_options_ = reverts_options_ || (applied && rule.option.revert);
      return applied;
    }
  }
  return false;
}

bool RewritePlan::ApplyName(const RewriteRule& rule) {
  const Mapped mapped = rule.mapping->Map(text().view(), names_[name_count_]);
  if (mapped == Mapped::kNo) return false;
  ++name_count_;
  if (mapped == Mapped::kTooLong || !wire::ReadText(text().view(), name_)) {
    outcome_ = Outcome::kBadName;
  }
  return true;
}

void RewritePlan::Edit(wire::Relabel& reply) const {
  EditName(Part::kOwner, reply.owner());
  if (reply.value() != nullptr) EditName(Part::kValue, *reply.value());
  uint32_t ttl = reply.record().ttl;
  for (const Applied& applied : std::span(applied_).first(applied_count_)) {
    const RewriteRule& rule = *applied.rule;
    if (rule.field == Field::kTtl) ttl = std::clamp(ttl, rule.least_ttl, rule.most_ttl);
  }
  reply.set_ttl(ttl);
}

void RewritePlan::EditName(Part part, wire::NameBuffer& name) const {
  wire::TextBuffer text;
  WriteLowerText(name, text);
  bool changed = false;
  for (size_t i = applied_count_; i > 0; --i) {
    changed = TurnBack(applied_[i - 1], part, text) || changed;
  }
  // A name that cannot be one stays as the upstream said it.
  wire::NameBuffer turned;
  if (changed && wire::ReadText(text.view(), turned)) name = turned;
}

// True if `text` is another one then.
bool RewritePlan::TurnBack(const Applied& applied, Part part, wire::TextBuffer& text) const {
  bool changed = false;
  if (applied.rule->automatic) {
    // What was asked, and the names below it.
    const std::string_view before = names_[applied.name_at].view();
    const std::string_view after = names_[applied.name_at + 1].view();
    const size_t rest = text.size - std::min(text.size, after.size());
    if (text.view().ends_with(after) && (rest == 0 || text.chars[rest - 1] == '.')) {
      text.size = rest;
      text.Append(before);
      changed = true;
    }
  }
  for (const RewriteRule::Answer& answer : applied.rule->answers) {
    wire::TextBuffer mapped;
    if (answer.part != part || answer.mapping.Map(text.view(), mapped) != Mapped::kYes) continue;
    text = mapped;
    changed = true;
  }
  return changed;
}

uint16_t RewritePlan::Rcode(uint16_t rcode) const {
  for (const Applied& applied : std::span(applied_).first(applied_count_)) {
    const RewriteRule& rule = *applied.rule;
    if (rule.field == Field::kRcode && rule.from == rcode) rcode = rule.to;
  }
  return rcode;
}

void RewritePlan::RevertOptions(const wire::Query& client, OptionList& of_reply) const {
  const OptionList of_client(client.edns_options);
  for (const Applied& applied : std::span(applied_).first(applied_count_)) {
    if (applied.rule->field == Field::kEdns0) applied.rule->option.Revert(of_client, of_reply);
  }
}

bool RewritePlan::MapTarget(const wire::NameBuffer& target, wire::NameBuffer& out) const {
  wire::TextBuffer text, mapped;
  WriteLowerText(target, text);
  for (const Applied& applied : std::span(applied_).first(applied_count_)) {
    if (applied.rule->field == Field::kCname &&
        applied.rule->mapping->Map(text.view(), mapped) == Mapped::kYes) {
      return wire::ReadText(mapped.view(), out);
    }
  }
  return false;
}

Rewrite::Rewrite(std::vector<RewriteRule> rules) : rules_(std::move(rules)) {
  for (const RewriteRule& rule : rules_) {
    rewrites_class_ = rewrites_class_ || rule.field == Field::kClass;
    rewrites_replies_ = rewrites_replies_ || rule.field == Field::kTtl ||
                        rule.field == Field::kRcode || rule.field == Field::kCname;
  }
}

Verdict Rewrite::OnQuery(Exchange& exchange) {
  const RewritePlan plan(rules_, exchange, exchange.query());
  if (plan.outcome() == RewritePlan::Outcome::kBadName) {
    bad_name_.Add();
    return Fail(exchange);
  }
  if (!plan.asks_other()) return Verdict::kNext;
  if (!exchange.AskInstead(plan.name().view(), plan.type(), kRewritten)) {
    too_deep_.Add();
    return Fail(exchange);
  }
  if (plan.options() != nullptr) exchange.SetOptions(plan.options()->bytes());
  rewritten_.Add();
  return Verdict::kNext;
}

nlohmann::json Rewrite::Explain(const Exchange& exchange) const {
  const RewritePlan plan(rules_, exchange, exchange.query());
  if (plan.outcome() == RewritePlan::Outcome::kNothing) return nullptr;
  nlohmann::json rules = nlohmann::json::array();
  std::string says;
  plan.ForEachApplied([&](const RewriteRule& rule) {
    rules.push_back({{"at", rule.written_at}, {"rule", rule.text}});
    says += fmt::format("{}{} ({})", says.empty() ? "" : "; ", rule.text, rule.written_at);
  });
  if (plan.outcome() == RewritePlan::Outcome::kBadName) says += ": what comes of it is no name";
  return {{"rules", std::move(rules)}, {"says", says}};
}

Verdict Rewrite::Fail(Exchange& exchange) {
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kServFail));
  return Verdict::kAnswered;
}

After Rewrite::OnReply(Exchange& exchange) {
  const std::optional<uint32_t> note = exchange.asked_instead();
  if (!note.has_value() && !rewrites_replies_) return After::kReply;
  const wire::Query& client = note.has_value() ? exchange.query_before() : exchange.query();
  const RewritePlan plan(rules_, exchange, client);
  if (!IsTarget(note) && AskTarget(plan, exchange)) return After::kAskBelow;
  if (note.has_value() || plan.edits_reply()) WriteReply(plan, exchange);
  return After::kReply;
}

// The new target of the first CNAME that a `cname` rule changes is asked, and stands in the place
// of what followed from the old one.
bool Rewrite::AskTarget(const RewritePlan& plan, Exchange& exchange) {
  const std::span<const uint8_t> reply = exchange.reply();
  wire::MessageReader reader(reply);
  for (wire::MessageRecord record; reader.Next(record);) {
    wire::NameBuffer old_target, target;
    if (record.section != wire::Section::kAnswer || record.type != wire::type::kCname ||
        wire::ReadName(reply, record.rdata_at, old_target) != record.end() ||
        !plan.MapTarget(old_target, target)) {
      continue;
    }
    const uint32_t note = kTarget | record.ttl;
    const uint16_t type = exchange.query().type;
    if (exchange.asked_instead().has_value()) {
      exchange.SetInstead(target.view(), type, note);
      return true;
    }
    return exchange.AskInstead(target.view(), type, note);
  }
  return false;
}

void Rewrite::WriteReply(const RewritePlan& plan, Exchange& exchange) {
  const std::optional<uint32_t> note = exchange.asked_instead();
  wire::NameBuffer asked;
  std::copy_n(exchange.query().question.begin(), exchange.query().name_bytes, asked.bytes.begin());
  asked.size = exchange.query().name_bytes;
  if (note.has_value()) exchange.TakeBack();
  const wire::Query& query = exchange.query();
  wire::Relabel relabel(exchange.reply(), query, exchange.room(), exchange.max_reply_bytes());
  relabel.set_rcode(plan.Rcode(relabel.rcode()));
  OptionList options(relabel.options());
  if (plan.reverts_options()) {
    plan.RevertOptions(query, options);
    relabel.set_options(options.bytes());
  }
  if (IsTarget(note)) {
    relabel.AddCname(query.question.first(query.name_bytes), *note & ~kTarget, asked.view());
  }
  while (relabel.Next()) {
    plan.Edit(relabel);
    relabel.Keep();
  }
  const size_t bytes = relabel.Finish();
  exchange.set_reply_bytes(bytes);
  if (bytes != 0) return;
  malformed_.Add();
  Fail(exchange);
}

void Rewrite::CollectMetrics(MetricFamilies& families) const {
  constexpr std::string_view kName = "portolan_rewrite_questions_total";
  constexpr std::string_view kHelp = "Questions that rewrite changed, or failed to.";
  const auto add = [&](std::string_view outcome, const Counter& counter) {
    AddCounterSample(families, kName, kHelp, {{"outcome", outcome}},
                     static_cast<double>(counter.value()));
  };
  add("rewritten", rewritten_);
  add("bad_name", bad_name_);
  add("too_deep", too_deep_);
  add("malformed_reply", malformed_);
}

}  // namespace portolan::dns
