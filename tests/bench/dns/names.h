// The names that every server of the bench holds, and what they lead to; run.py makes the same.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace portolan::dns::bench {

inline std::string ServiceName(size_t i) { return fmt::format("service-{}", i); }
inline std::string Name(size_t i) { return fmt::format("service-{}.bench.svc.cluster.local", i); }
inline uint32_t Address(size_t i) { return 0x0a2b0000 + 256 + static_cast<uint32_t>(i); }

}  // namespace portolan::dns::bench
