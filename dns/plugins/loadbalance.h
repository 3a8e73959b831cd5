// The directive `loadbalance`: another order of addresses in each reply.
//
//   loadbalance [round_robin]
//
// The A and AAAA records of each RRset of the answer section are rotated by a random number of
// places, in the finished message: what a client takes first is spread evenly, and aliases stay in
// front of what they lead to. Works on every reply that comes by, local or from an upstream.
// https://coredns.io/plugins/loadbalance/
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

// Errors are Token::Error. `weighted` is accepted with a note: it is not active.
absl::Status ParseLoadbalance(const corefile::Directive& directive,
                              std::vector<std::string>* notes);
absl::Status LoadLoadbalance(const corefile::Directive& directive, LoadContext& context);

class Loadbalance : public Plugin {
 public:
  // `seed`: any number that differs between workers.
  explicit Loadbalance(uint64_t seed) : state_(seed) {}

  std::string_view name() const override { return "loadbalance"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;

 private:
  // As many addresses as a reply over TCP can hold, with compressed owners.
  static constexpr size_t kMaxRotated = 65535 / 16;

  uint64_t Random();
  void Rotate(std::span<uint8_t> reply, std::span<const uint16_t> rdata_at, size_t rdata_bytes);

  uint64_t state_;
  std::array<uint16_t, kMaxRotated> rdata_at_;
};

}  // namespace portolan::dns
