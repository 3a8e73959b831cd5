// What every server of the bench holds, and how it is asked for; world.py makes the same.
//
//   service-N.bench.svc.cluster.local    A, and SRV of its port "http" with the A record beside it
//   headless-N.bench.svc.cluster.local   three A records
//   host-N.example.org                   A, of an upstream
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace portolan::dns::bench {

enum class Scenario : uint8_t { kA, kNodata, kNxdomain, kSrv, kHeadless3, kCached };

// "a", "nodata", "nxdomain", "srv", "headless3", "cached".
std::optional<Scenario> ParseScenario(std::string_view text);

// The query number `i` in wire form, with the id 0.
std::vector<uint8_t> MakeQuery(Scenario scenario, size_t i);
// For the A records of any name.
std::vector<uint8_t> MakeQuery(const std::string& name);

bool IsRight(Scenario scenario, size_t i, std::span<const uint8_t> reply);

// The address in the first A record; 0 if there is none.
uint32_t FirstAddress(std::span<const uint8_t> reply);

}  // namespace portolan::dns::bench
