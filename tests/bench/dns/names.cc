#include "tests/bench/dns/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "dns/wire/bytes.h"
#include "dns/wire/message.h"
#include "dns/wire/name.h"

namespace portolan::dns::bench {
namespace {

constexpr std::array<std::pair<std::string_view, Scenario>, 6> kScenarios = {
    {{"a", Scenario::kA},
     {"nodata", Scenario::kNodata},
     {"nxdomain", Scenario::kNxdomain},
     {"srv", Scenario::kSrv},
     {"headless3", Scenario::kHeadless3},
     {"cached", Scenario::kCached}}};

constexpr size_t kEndpoints = 3;
constexpr uint16_t kPort = 80;

uint32_t ServiceAddress(size_t i) { return 0x0a2b0100 + static_cast<uint32_t>(i); }
uint32_t EndpointAddress(size_t i, size_t endpoint) {
  return 0x0a2c0100 + static_cast<uint32_t>(4 * i + endpoint);
}

std::string NameOf(Scenario scenario, size_t i) {
  switch (scenario) {
    case Scenario::kA:
    case Scenario::kNodata:
      return fmt::format("service-{}.bench.svc.cluster.local", i);
    case Scenario::kNxdomain:
      return fmt::format("no-service-{}.bench.svc.cluster.local", i);
    case Scenario::kSrv:
      return fmt::format("_http._tcp.service-{}.bench.svc.cluster.local", i);
    case Scenario::kHeadless3:
      return fmt::format("headless-{}.bench.svc.cluster.local", i);
    case Scenario::kCached:
      break;
  }
  return fmt::format("host-{}.example.org", i);
}

uint16_t TypeOf(Scenario scenario) {
  if (scenario == Scenario::kNodata) return wire::type::kAaaa;
  return scenario == Scenario::kSrv ? wire::type::kSrv : wire::type::kA;
}

std::vector<uint8_t> MakeQuery(const std::string& name, uint16_t type) {
  const std::string wire_name = wire::NameToWire(name).value();
  std::vector<uint8_t> query(wire::kHeaderBytes + wire_name.size() + 4);
  wire::Store16(&query[2], 0x0100);  // RD
  wire::Store16(&query[4], 1);       // one question
  uint8_t* at = std::copy(wire_name.begin(), wire_name.end(), query.data() + wire::kHeaderBytes);
  wire::Store16(at, type);
  wire::Store16(at + 2, wire::kClassIn);
  return query;
}

// The endpoint that an address of headless-i is, as a bit; 0 if it is none.
unsigned EndpointBit(size_t i, uint32_t address) {
  for (size_t endpoint = 0; endpoint < kEndpoints; ++endpoint) {
    if (EndpointAddress(i, endpoint) == address) return 1u << endpoint;
  }
  return 0;
}

bool HasAnswers(Scenario scenario, size_t i, std::span<const uint8_t> reply) {
  wire::MessageReader reader(reply);
  unsigned endpoints = 0;
  size_t right = 0;
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.section != wire::Section::kAnswer) break;
    const uint8_t* rdata = reply.data() + record.rdata_at;
    if (record.type != TypeOf(scenario)) return false;
    if (scenario == Scenario::kSrv) {
      right += record.rdata_bytes > 6 && wire::Load16(rdata + 4) == kPort ? 1 : 0;
    } else if (record.rdata_bytes == 4 && scenario == Scenario::kHeadless3) {
      endpoints |= EndpointBit(i, wire::Load32(rdata));
      ++right;
    } else if (record.rdata_bytes == 4) {
      right += wire::Load32(rdata) == ServiceAddress(i) ? 1 : 0;
    }
  }
  const size_t wanted = scenario == Scenario::kHeadless3 ? kEndpoints : 1;
  return right == wanted && reader.count(wire::Section::kAnswer) == wanted &&
         (scenario != Scenario::kHeadless3 || endpoints == (1u << kEndpoints) - 1);
}

}  // namespace

std::optional<Scenario> ParseScenario(std::string_view text) {
  for (const auto& [name, scenario] : kScenarios) {
    if (name == text) return scenario;
  }
  return std::nullopt;
}

std::vector<uint8_t> MakeQuery(Scenario scenario, size_t i) {
  return MakeQuery(NameOf(scenario, i), TypeOf(scenario));
}

std::vector<uint8_t> MakeQuery(const std::string& name) { return MakeQuery(name, wire::type::kA); }

bool IsRight(Scenario scenario, size_t i, std::span<const uint8_t> reply) {
  if (reply.size() < wire::kHeaderBytes) return false;
  const int rcode = reply[3] & 15;
  if (scenario == Scenario::kNxdomain) return rcode == 3;
  if (rcode != 0) return false;
  if (scenario == Scenario::kNodata) return wire::Load16(&reply[6]) == 0;
  return HasAnswers(scenario, i, reply);
}

uint32_t FirstAddress(std::span<const uint8_t> reply) {
  wire::MessageReader reader(reply);
  for (wire::MessageRecord record; reader.Next(record);) {
    if (record.type == wire::type::kA && record.rdata_bytes == 4) {
      return wire::Load32(reply.data() + record.rdata_at);
    }
  }
  return 0;
}

}  // namespace portolan::dns::bench
