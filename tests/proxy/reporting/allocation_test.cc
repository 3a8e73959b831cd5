// That counting what is asked for takes nothing from the heap, new names included.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "dns/wire/reply.h"
#include "proxy/reporting/asked_names.h"
#include "tests/dns/question.h"
#include "tests/proxy/forwarder/allocations.h"

namespace portolan::proxy {
namespace {

struct NoPool : dns::SuspendedPool {
  dns::Suspended* Suspend(dns::Exchange&) override { return nullptr; }
};

TEST(AskedNamesAllocations, NoneForAReply) {
  SearchWalks walks;
  const auto names = std::make_unique<AskedNames>(walks, AskedNames::Names::kCounted);
  names->SetSearch({"default.svc.cluster.local", "svc.cluster.local", "cluster.local"});
  std::vector<dns::test::Bytes> messages;
  for (int i = 0; i < 2000; ++i) {
    for (const char* end : {".svc.cluster.local", ""}) {
      messages.push_back(dns::test::MakeQuery("n" + std::to_string(i) + ".org" + end, 1));
    }
  }
  NoPool pool;
  std::array<uint8_t, 512> room;
  StartCounting();
  for (const auto& message : messages) {
    dns::wire::Query query;
    dns::wire::ParseQuery(message, query);
    dns::Exchange exchange(query, {}, dns::Transport::kUdp, room, pool);
    exchange.set_received(dns::Exchange::Time(std::chrono::hours(1)));
    const bool found = query.labels == 2;
    exchange.set_reply_bytes(dns::wire::WriteEmptyReply(
        query, room, found ? dns::wire::Rcode::kNoError : dns::wire::Rcode::kNxDomain));
    names->Tell(exchange);
  }
  EXPECT_EQ(StopCounting(), 0u);
  EXPECT_EQ(names->TakeView().amplification.saved_by_trailing_dot, 2000u);
}

}  // namespace
}  // namespace portolan::proxy
