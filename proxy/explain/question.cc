#include "proxy/explain/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "common/nearest.h"
#include "common/status.h"
#include "common/text.h"
#include "dns/wire/bytes.h"
#include "dns/wire/edns.h"
#include "dns/wire/ldns.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/query.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using Packet = std::unique_ptr<ldns_pkt, FreePacket>;

struct FreeMalloced {
  void operator()(void* bytes) const { std::free(bytes); }
};

// Untrusted: a blank in place of what is not printable ASCII.
std::string PrintableText(std::string_view bytes) {
  std::string text(bytes);
  for (char& c : text) {
    if (c < ' ' || c > '~') c = ' ';
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

// "backend.default.svc.cluster.local. 30 IN A 10.43.0.123"
std::string RecordText(const ldns_rr* record) {
  const std::unique_ptr<char, FreeMalloced> text(ldns_rr2str(record));
  if (text == nullptr) return "(a record that cannot be shown)";
  return PrintableText(text.get());
}

// RFC 8914 2: a code, and a text for people.
json ExtendedErrors(const ldns_pkt* reply) {
  json errors = json::array();
  const ldns_rdf* data = ldns_pkt_edns_data(reply);
  if (data == nullptr) return errors;
  const std::span<const uint8_t> options(ldns_rdf_data(data), ldns_rdf_size(data));
  const auto option = dns::wire::FindOption(options, dns::wire::kExtendedErrorOption);
  if (!option.has_value() || option->size() < 2) return errors;
  const auto text = option->subspan(2);
  errors.push_back(
      {{"code", dns::wire::Load16(option->data())},
       {"text", PrintableText({reinterpret_cast<const char*>(text.data()), text.size()})}});
  return errors;
}

}  // namespace

std::vector<std::string> NamesAskedFor(std::string_view name, const ResolvConf& resolv_conf) {
  if (name.ends_with('.')) return {std::string(name)};
  const std::string as_it_is = fmt::format("{}.", name);
  const auto dots = std::count(name.begin(), name.end(), '.');
  std::vector<std::string> names;
  if (dots >= resolv_conf.ndots) names.push_back(as_it_is);
  for (const std::string& domain : resolv_conf.search) {
    std::string joined = fmt::format("{}.{}", name, domain);
    if (!joined.ends_with('.')) joined.push_back('.');
    names.push_back(std::move(joined));
  }
  if (dots < resolv_conf.ndots) names.push_back(as_it_is);
  return names;
}

absl::StatusOr<uint16_t> ParseRecordType(const std::string& word) {
  if (word.empty()) return dns::wire::type::kA;
  std::string upper = word;
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  if (const auto type = dns::wire::FindType(upper)) return *type;
  std::vector<std::string_view> known;
  for (const auto& type : dns::wire::AllTypes()) known.push_back(type.word);
  return InvalidArgument("type '{}' is no record type{}", word, DidYouMean(upper, known));
}

std::vector<uint8_t> MakeQuery(const std::string& name, uint16_t type, uint16_t id) {
  ldns_rdf* wire_name = ldns_dname_new_frm_str(name.c_str());
  if (wire_name == nullptr) return {};
  const Packet packet(
      ldns_pkt_query_new(wire_name, static_cast<ldns_rr_type>(type), LDNS_RR_CLASS_IN, LDNS_RD));
  if (packet == nullptr) return {};
  ldns_pkt_set_id(packet.get(), id);
  ldns_pkt_set_edns_udp_size(packet.get(), static_cast<uint16_t>(kMostReplyBytes));
  uint8_t* wire = nullptr;
  size_t size = 0;
  if (ldns_pkt2wire(&wire, packet.get(), &size) != LDNS_STATUS_OK) return {};
  const std::unique_ptr<uint8_t, FreeMalloced> owned(wire);
  return {wire, wire + size};
}

uint16_t IdOf(std::span<const uint8_t> message) {
  return message.size() < 2 ? 0 : dns::wire::Load16(message.data());
}

absl::StatusOr<json> ReadReply(std::span<const uint8_t> message, uint16_t id) {
  ldns_pkt* parsed = nullptr;
  const ldns_status status = ldns_wire2pkt(&parsed, message.data(), message.size());
  const Packet reply(parsed);
  if (status != LDNS_STATUS_OK) return InvalidArgument("a reply that cannot be read");
  if (ldns_pkt_qr(parsed) == 0 || ldns_pkt_id(parsed) != id) {
    return InvalidArgument("not the reply to this query");
  }
  const auto rcode = static_cast<uint16_t>(ldns_pkt_get_rcode(parsed));
  const std::string_view word = dns::wire::RcodeWord(rcode);
  json answers = json::array();
  const ldns_rr_list* records = ldns_pkt_answer(parsed);
  for (size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
    answers.push_back(RecordText(ldns_rr_list_rr(records, i)));
  }
  json out = {{"rcode", word.empty() ? fmt::format("RCODE{}", rcode) : std::string(word)},
              {"answers", std::move(answers)}};
  if (ldns_pkt_tc(parsed) != 0) out["truncated"] = true;
  json errors = ExtendedErrors(parsed);
  if (!errors.empty()) out["extendedErrors"] = std::move(errors);
  return out;
}

bool HasAnswer(const json& lookup) {
  return lookup.value("rcode", "") == "NOERROR" && !lookup["answers"].empty();
}

}  // namespace portolan::proxy
