// The directive `loadbalance`: another order of addresses in each reply.
//
//   loadbalance [round_robin | weighted FILE] {
//       reload DURATION           of FILE; default 30s, at least 100ms; 0: not followed
//       prefer CIDR...
//   }
//
// The A and AAAA records of each RRset of the answer section are shuffled, every order as likely as
// any other; `weighted` moves one of them to the front instead, by its weight
// (dns/plugins/weights.h). Then those in the preferred blocks come first, in the order of the
// blocks. All in the finished message, so that aliases stay in front of what they lead to, and on
// every reply that comes by, local or from an upstream. MX records keep their order: they have a
// preference of their own. https://coredns.io/plugins/loadbalance/
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ip.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/plugins/weights.h"
#include "dns/wire/message.h"

namespace portolan::dns {

struct LoadbalanceConfig {
  std::shared_ptr<const Weights> weights;  // null: round_robin
  std::vector<Cidr> prefer;
  std::string file;  // of the weights; empty: round_robin
  absl::Duration reload = absl::Seconds(30);
};

// Reads the file, so: at load, not on a worker. Errors are Token::Error.
absl::StatusOr<LoadbalanceConfig> ParseLoadbalance(const corefile::Directive& directive,
                                                   std::vector<std::string>* notes);
absl::Status LoadLoadbalance(const corefile::Directive& directive, LoadContext& context);

class Loadbalance : public Plugin {
 public:
  // `seed`: any number that differs between workers.
  explicit Loadbalance(uint64_t seed, LoadbalanceConfig config = {})
      : config_(std::move(config)), state_(seed) {}

  std::string_view name() const override { return "loadbalance"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;

 private:
  // As many addresses as a reply over TCP can hold, with compressed owners.
  static constexpr size_t kMaxRecords = 65535 / 16;

  // The addresses of one RRset, which may change places: owner, TTL and type are the same
  // throughout.
  struct Run {
    std::span<uint8_t> reply;
    std::span<const uint16_t> rdata_at;
    size_t rdata_bytes;

    IpAddress Address(size_t i) const;
    void Swap(size_t a, size_t b) const;
  };

  uint64_t Random();
  // From 0 to `below` - 1.
  size_t Pick(size_t below) { return (Random() >> 32) * below >> 32; }
  bool OrderPlain(std::span<uint8_t> reply);
  void Order(const Run& run, const wire::MessageRecord& first);
  void Shuffle(const Run& run);
  void PutOneFirst(const Run& run, const Weights::OfName& weights);
  void PutPreferredFirst(const Run& run) const;

  const LoadbalanceConfig config_;
  uint64_t state_;
  std::array<uint16_t, kMaxRecords> rdata_at_;
};

}  // namespace portolan::dns
