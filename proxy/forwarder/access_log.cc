#include "proxy/forwarder/access_log.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <iterator>

#include "absl/time/civil_time.h"
#include "absl/time/clock.h"

namespace portolan::proxy {
namespace {

// Longer than any line with names as Kubernetes has them.
using Line = fmt::basic_memory_buffer<char, 2048>;

// The text of a JSON string. Names come from the control plane, which may be anybody's.
void AddEscaped(Line& line, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < ' ' || byte >= 0x7f || c == '"' || c == '\\') {
      fmt::format_to(std::back_inserter(line), "\\u{:04x}", byte);
    } else {
      line.push_back(c);
    }
  }
}

void AddText(Line& line, std::string_view key, std::string_view text) {
  fmt::format_to(std::back_inserter(line), ",\"{}\":\"", key);
  AddEscaped(line, text);
  line.push_back('"');
}

void AddName(Line& line, std::string_view key, const ObjectName* name) {
  fmt::format_to(std::back_inserter(line), ",\"{}\":\"", key);
  if (name != nullptr && !name->ns.empty()) {
    AddEscaped(line, name->ns);
    line.push_back('/');
    AddEscaped(line, name->name);
  }
  line.push_back('"');
}

void AddAddress(Line& line, std::string_view key, const std::optional<SocketAddress>& address) {
  if (!address.has_value()) return AddText(line, key, "");
  const IpAddress& ip = address->ip;
  std::array<char, INET6_ADDRSTRLEN> text;
  inet_ntop(ip.is_v4() ? AF_INET : AF_INET6, ip.bytes().data(), text.data(), text.size());
  fmt::format_to(std::back_inserter(line), ",\"{}\":\"{}{}{}:{}\"", key, ip.is_v4() ? "" : "[",
                 text.data(), ip.is_v4() ? "" : "]", address->port);
}

void AddMilliseconds(Line& line, std::string_view key, absl::Duration time) {
  fmt::format_to(std::back_inserter(line), ",\"{}\":{:.3f}", key, absl::ToDoubleMilliseconds(time));
}

void AddTime(Line& line, absl::Time time) {
  const auto utc = absl::UTCTimeZone().At(time);
  const absl::CivilSecond& s = utc.cs;
  fmt::format_to(std::back_inserter(line),
                 "{{\"time\":\"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z\"", s.year(), s.month(),
                 s.day(), s.hour(), s.minute(), s.second(),
                 absl::ToInt64Milliseconds(utc.subsecond));
}

}  // namespace

AccessLog::AccessLog(LineOutput& output, ForwarderCounters& counters)
    : writer_(output.Open()), counters_(counters) {}

void AccessLog::Write(const AccessRecord& record) {
  Line line;
  AddTime(line, absl::Now() - record.ended_ago - record.duration);
  AddText(line, "protocol", record.protocol == Protocol::kUdp ? "udp" : "tcp");
  AddText(line, "direction", record.inbound ? "inbound" : "outbound");
  AddAddress(line, "source", record.source);
  AddAddress(line, "dialled", record.dialled);
  AddName(line, "service", record.service);
  AddText(line, "portName", record.port_name);
  AddAddress(line, "endpoint", record.endpoint);
  AddName(line, "pod", record.pod);
  fmt::format_to(std::back_inserter(line), ",\"bytesUp\":{},\"bytesDown\":{}", record.bytes_up,
                 record.bytes_down);
  AddMilliseconds(line, "durationMs", record.duration);
  if (record.connect.has_value()) AddMilliseconds(line, "connectMs", *record.connect);
  fmt::format_to(std::back_inserter(line), ",\"attempts\":{}", record.attempts);
  AddText(line, "outcome", record.outcome);
  AddText(line, "ended", record.ended);
  line.append(std::string_view("}\n"));
  const bool written = writer_->Write({line.data(), line.size()});
  (written ? counters_.access_logged : counters_.access_dropped).Add();
}

}  // namespace portolan::proxy
