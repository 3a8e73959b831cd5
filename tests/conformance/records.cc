#include "tests/conformance/records.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "common/ip.h"
#include "dns/wire/name.h"

namespace portolan::dns::test {
namespace {

constexpr std::pair<std::string_view, uint16_t> kTypes[] = {
    {"A", 1},      {"NS", 2},     {"CNAME", 5},  {"SOA", 6},   {"PTR", 12},
    {"HINFO", 13}, {"MX", 15},    {"TXT", 16},   {"AAAA", 28}, {"SRV", 33},
    {"HTTPS", 65}, {"IXFR", 251}, {"AXFR", 252}, {"ANY", 255}, {"CAA", 257}};

std::string_view TypeName(uint16_t type) {
  for (const auto& [name, number] : kTypes) {
    if (number == type) return name;
  }
  return "?";
}

std::string NameAt(std::span<const uint8_t> reply, size_t at, size_t* end = nullptr) {
  wire::NameBuffer name;
  const size_t behind = wire::ReadName(reply, at, name);
  if (end != nullptr) *end = behind;
  return behind == 0 ? "(bad name)" : wire::NameToText(name.view());
}

std::string Rdata(std::span<const uint8_t> reply, const wire::MessageRecord& record) {
  const auto rdata = reply.subspan(record.rdata_at, record.rdata_bytes);
  switch (record.type) {
    case 1:
      return IpAddress::V4(rdata.first<4>()).ToString();
    case 28:
      return IpAddress::V6(rdata.first<16>()).ToString();
    case 2:
    case 5:
    case 12:
      return NameAt(reply, record.rdata_at);
    case 6: {
      size_t at = 0;
      const std::string server = NameAt(reply, record.rdata_at, &at);
      const std::string mailbox = NameAt(reply, at, &at);
      const uint8_t* numbers = reply.data() + at;
      return fmt::format("{} {} * {} {} {} {}", server, mailbox, wire::Load32(numbers + 4),
                         wire::Load32(numbers + 8), wire::Load32(numbers + 12),
                         wire::Load32(numbers + 16));
    }
    case 16:
      return fmt::format("\"{}\"", std::string(rdata.begin() + 1, rdata.end()));
    case 33:
      return fmt::format("{} {} {} {}", wire::Load16(rdata.data()), wire::Load16(rdata.data() + 2),
                         wire::Load16(rdata.data() + 4), NameAt(reply, record.rdata_at + 6));
    default:
      return "?";
  }
}

}  // namespace

std::vector<std::string> RecordsOf(std::span<const uint8_t> reply, wire::Section section) {
  std::vector<std::string> texts;
  wire::MessageReader reader(reply);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section != section || record.type == wire::type::kOpt) continue;
    texts.push_back(fmt::format("{} {} {} {}", NameAt(reply, record.owner_at), record.ttl,
                                TypeName(record.type), Rdata(reply, record)));
  }
  if (!reader.ok()) texts.push_back("(malformed)");
  return texts;
}

uint16_t TypeNumber(std::string_view name) {
  for (const auto& [known, number] : kTypes) {
    if (known == name) return number;
  }
  throw std::invalid_argument(std::string(name));
}

}  // namespace portolan::dns::test
