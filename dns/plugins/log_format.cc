#include "dns/plugins/log_format.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "dns/wire/bytes.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"
#include "dns/wire/reply.h"

namespace portolan::dns {
namespace {

constexpr std::string_view kEmpty = "-";

void AddWord(LogLine& line, std::string_view word, std::string_view prefix, uint16_t number) {
  if (!word.empty()) return line.Add(word);
  line.Add(prefix);
  line.AddNumber(number);
}

void AddEmpty(Exchange&, absl::Duration, LogLine& line) { line.Add(kEmpty); }

void AddType(Exchange& exchange, absl::Duration, LogLine& line) {
  const uint16_t type = exchange.query().type;
  AddWord(line, wire::TypeWord(type), "TYPE", type);
}

void AddClass(Exchange& exchange, absl::Duration, LogLine& line) {
  const uint16_t qclass = exchange.query().qclass;
  AddWord(line, wire::ClassWord(qclass), "CLASS", qclass);
}

void AddQueryName(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddName(exchange.query().lower_name());
}

void AddProto(Exchange& exchange, absl::Duration, LogLine& line) {
  line.Add(exchange.transport() == Transport::kUdp ? "udp" : "tcp");
}

void AddRemote(Exchange& exchange, absl::Duration, LogLine& line) {
  std::array<char, INET6_ADDRSTRLEN> text;
  const IpAddress& ip = exchange.client().ip;
  inet_ntop(ip.is_v4() ? AF_INET : AF_INET6, ip.bytes().data(), text.data(), text.size());
  line.Add(ip.is_v4() ? "" : "[");
  line.Add(text.data());
  line.Add(ip.is_v4() ? "" : "]");
}

void AddPort(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddNumber(exchange.client().port);
}

void AddSize(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddNumber(exchange.query().message.size());
}

void AddRcode(Exchange& exchange, absl::Duration, LogLine& line) {
  const uint16_t rcode = exchange.reply()[3] & 15;
  AddWord(line, wire::RcodeWord(rcode), "", rcode);
}

void AddReplySize(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddNumber(exchange.reply().size());
}

void AddReplyFlags(Exchange& exchange, absl::Duration, LogLine& line) {
  constexpr std::pair<uint16_t, std::string_view> kFlags[] = {
      {wire::flag::kResponse, "qr"},           {wire::flag::kAuthoritative, "aa"},
      {wire::flag::kTruncated, "tc"},          {wire::flag::kRecursionDesired, "rd"},
      {wire::flag::kRecursionAvailable, "ra"}, {0x0040, "z"},
      {wire::flag::kAuthenticData, "ad"},      {wire::flag::kCheckingDisabled, "cd"}};
  const uint16_t flags = wire::Load16(exchange.reply().data() + 2);
  std::string_view comma;
  for (const auto& [bit, word] : kFlags) {
    if ((flags & bit) == 0) continue;
    line.Add(std::exchange(comma, ","));
    line.Add(word);
  }
}

// Seconds, as short as they are exact: "0.000037s".
void AddDuration(Exchange&, absl::Duration duration, LogLine& line) {
  const auto nanoseconds =
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0));
  constexpr uint64_t kSecond = 1'000'000'000;
  line.AddNumber(nanoseconds / kSecond);
  std::array<char, 10> text;
  fmt::format_to_n(text.data(), text.size(), ".{:09}", nanoseconds % kSecond);
  std::string_view fraction(text.data(), text.size());
  fraction = fraction.substr(0, fraction.find_last_not_of('0') + 1);
  if (fraction != ".") line.Add(fraction);
  line.Add("s");
}

void AddId(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddNumber(exchange.query().id);
}

void AddOpcode(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddNumber(exchange.query().flags >> 11 & 15);
}

void AddDnssecOk(Exchange& exchange, absl::Duration, LogLine& line) {
  line.Add(exchange.query().dnssec_ok ? "true" : "false");
}

void AddBufsize(Exchange& exchange, absl::Duration, LogLine& line) {
  line.AddNumber(exchange.transport() == Transport::kUdp ? exchange.query().udp_payload
                                                         : wire::kMaxMessageBytes);
}

std::string ReplaceAll(std::string text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

}  // namespace

void LogLine::Add(std::string_view text) {
  const size_t bytes = std::min(text.size(), bytes_.size() - 1 - size_);
  std::copy_n(text.data(), bytes, bytes_.begin() + size_);
  size_ += bytes;
}

void LogLine::AddNumber(uint64_t number) {
  const fmt::format_int text(number);
  Add({text.data(), text.size()});
}

void LogLine::AddName(std::span<const uint8_t> name) {
  std::array<char, wire::kMaxNameTextBytes> text;
  Add({text.data(), wire::WriteNameText(name, text)});
}

std::string_view LogLine::Finish() {
  bytes_[size_] = '\n';
  return {bytes_.data(), size_ + 1};
}

LogFormat::LogFormat(std::string_view text) {
  std::string whole = ReplaceAll(std::string(text), "{combined}", "{common} \"{>opcode}\"");
  Split(ReplaceAll(std::move(whole), "{common}", kCommon));
}

LogFormat::Fill LogFormat::FindFill(std::string_view placeholder) {
  static constexpr std::pair<std::string_view, Fill> kFills[] = {
      {"{type}", AddType},       {"{name}", AddQueryName},    {"{class}", AddClass},
      {"{proto}", AddProto},     {"{remote}", AddRemote},     {"{port}", AddPort},
      {"{size}", AddSize},       {"{local}", AddEmpty},       {"{rcode}", AddRcode},
      {"{rsize}", AddReplySize}, {"{duration}", AddDuration}, {"{>rflags}", AddReplyFlags},
      {"{>id}", AddId},          {"{>opcode}", AddOpcode},    {"{>do}", AddDnssecOk},
      {"{>bufsize}", AddBufsize}};
  // The letter case of {>words} does not count.
  const bool of_header = placeholder.starts_with("{>");
  const std::string word =
      of_header ? absl::AsciiStrToLower(std::string(placeholder)) : std::string(placeholder);
  for (const auto& [known, fill] : kFills) {
    if (known == word) return fill;
  }
  return of_header || placeholder.starts_with("{/") ? AddEmpty : nullptr;
}

void LogFormat::Split(std::string_view text) {
  Piece piece;
  while (!text.empty()) {
    const size_t end = text[0] == '{' ? text.find('}') : std::string_view::npos;
    const Fill fill = end == std::string_view::npos ? nullptr : FindFill(text.substr(0, end + 1));
    if (fill == nullptr) {
      piece.literal += text[0];
      text.remove_prefix(1);
      continue;
    }
    piece.fill = fill;
    pieces_.push_back(std::exchange(piece, {}));
    text.remove_prefix(end + 1);
  }
  if (!piece.literal.empty()) pieces_.push_back(std::move(piece));
}

void LogFormat::Write(Exchange& exchange, absl::Duration duration, LogLine& line) const {
  for (const Piece& piece : pieces_) {
    line.Add(piece.literal);
    if (piece.fill != nullptr) piece.fill(exchange, duration, line);
  }
}

}  // namespace portolan::dns
