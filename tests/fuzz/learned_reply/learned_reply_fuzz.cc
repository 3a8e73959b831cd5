// A reply on its way to the client, of arbitrary bytes: what NameGate::OnReply learns from it stays
// within its limits, is of the name that was asked or completed, and no byte outside is read.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "common/monotonic.h"
#include "policy/policy_compiler.h"
#include "proxy/policy/name_gate.h"
#include "tests/dns/question.h"
#include "tests/policy/policies.h"

namespace portolan::proxy {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

class NoPool : public dns::SuspendedPool {
  dns::Suspended* Suspend(dns::Exchange&) override { return nullptr; }
};

std::shared_ptr<const EgressRules> MakeRules() {
  PolicyCompiler compiler;
  compiler.SetPolicies({DnsPolicyOf("any", {ToNames({"*.example.com", "*.a"}, {})})}, {});
  return compiler.Commit();
}

void Read(std::span<uint8_t> reply, bool completed) {
  static const auto rules = MakeRules();
  static const dns::test::Bytes message =
      dns::test::MakeQuery("API.example.com", dns::wire::type::kA);
  constexpr size_t kMost = 32, kPerName = 8;
  LearnedAddresses learned({.addresses = kMost, .per_name = kPerName});
  Denials denials;
  NameGate gate({}, learned, denials);
  gate.SetRules(rules);

  dns::wire::Query query;
  Check(dns::wire::ParseQuery(message, query) == dns::wire::ParseOutcome::kQuery);
  NoPool pool;
  dns::Exchange exchange(query, {}, dns::Transport::kUdp, reply, pool);
  exchange.set_reply_bytes(reply.size());
  exchange.set_completed(completed);
  gate.OnReply(exchange);

  Check(learned.size() <= kPerName);
  for (const auto& entry : learned.List(Monotonic())) {
    Check(completed || entry.name == "api.example.com.");
    Check(rules->IsNamed(Wire(entry.name)));
  }
}

}  // namespace
}  // namespace portolan::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy without slack behind it.
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy_n(data, size, exact.get());
  for (const bool completed : {false, true}) {
    portolan::proxy::Read({exact.get(), size}, completed);
  }
  return 0;
}
