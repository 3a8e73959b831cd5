#include "dns/plugins/chaos.h"

#include <algorithm>
#include <span>

#include "dns/plugins/arguments.h"
#include "dns/plugins/host_name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

constexpr size_t kMaxText = 255;

std::string Cut(std::string text) {
  text.resize(std::min(text.size(), kMaxText));
  return text;
}

bool Asks(const wire::Query& query, std::string_view name) {
  return std::ranges::equal(query.lower_name(), name, {}, {},
                            [](char c) { return static_cast<uint8_t>(c); });
}

void AddText(wire::ReplyWriter& reply, const std::string& text) {
  const auto rdata =
      reply.Add(wire::Section::kAnswer, wire::kQuestionName, wire::type::kTxt, 0, 1 + text.size());
  if (rdata.empty()) return;
  rdata[0] = static_cast<uint8_t>(text.size());
  std::copy(text.begin(), text.end(), rdata.begin() + 1);
}

}  // namespace

absl::Status LoadChaos(const corefile::Directive& directive, LoadContext& context) {
  absl::Status status = CheckNoBlock(directive);
  if (!status.ok()) return status;
  ChaosAnswers answers{"Portolan-" PORTOLAN_VERSION, {"The Portolan authors"}, Cut(HostName())};
  const auto& words = directive.arguments;
  if (!words.empty()) answers.version = Cut(words[0].text);
  if (words.size() > 1) {
    answers.authors.clear();
    for (size_t i = 1; i < words.size(); ++i) answers.authors.push_back(Cut(words[i].text));
    std::sort(answers.authors.begin(), answers.authors.end());
    answers.authors.erase(std::unique(answers.authors.begin(), answers.authors.end()),
                          answers.authors.end());
  }
  context.AddLink([answers](const PluginContext&) { return std::make_unique<Chaos>(answers); });
  return absl::OkStatus();
}

Verdict Chaos::OnQuery(Exchange& exchange) {
  const wire::Query& query = exchange.query();
  if (query.qclass != wire::kClassChaos || query.type != wire::type::kTxt) return Verdict::kNext;
  wire::ReplyWriter reply(query, exchange.room(), exchange.max_reply_bytes());
  if (Asks(query, {"\7version\4bind\0", 14}) || Asks(query, {"\7version\6server\0", 16})) {
    AddText(reply, answers_.version);
  } else if (Asks(query, {"\x8hostname\4bind\0", 15}) || Asks(query, {"\2id\6server\0", 11})) {
    AddText(reply, answers_.host);
  } else if (Asks(query, {"\7authors\4bind\0", 14})) {
    const auto& authors = answers_.authors;
    for (size_t i = 0; i < authors.size(); ++i) {
      AddText(reply, authors[(first_author_ + i) % authors.size()]);
    }
    ++first_author_;
  } else {
    return Verdict::kNext;
  }
  exchange.set_local(true);
  exchange.set_reply_bytes(reply.Finish(wire::Rcode::kNoError, 0));
  return Verdict::kAnswered;
}

}  // namespace portolan::dns
