#include "dns/plugins/errors.h"

#include <gtest/gtest.h>

#include "dns/wire/reply.h"
#include "tests/dns/upstream/world.h"

namespace portolan::dns {
namespace {

double Metric(const Plugin& plugin, std::string_view name) {
  MetricFamilies families;
  plugin.CollectMetrics(families);
  for (const auto& family : families) {
    if (family.name == name) return family.metric.at(0).counter.value;
  }
  return -1;
}

TEST(Errors, CountsServfailAndLogsAFewASecond) {
  test::Clients clients;
  test::Client& client = clients.Make(test::MakeQuery("x.example", wire::type::kA));
  Exchange& exchange = client.exchange();
  Errors errors;
  for (int i = 0; i < 100; ++i) {
    exchange.set_reply_bytes(
        wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kServFail));
    errors.OnReply(exchange);
  }
  exchange.set_reply_bytes(
      wire::WriteEmptyReply(exchange.query(), exchange.room(), wire::Rcode::kNxDomain));
  errors.OnReply(exchange);
  EXPECT_EQ(Metric(errors, "portolan_errors_total"), 100);
  // The hundred may fall into two seconds.
  EXPECT_GE(Metric(errors, "portolan_errors_unlogged_total"), 100 - 2 * Errors::kLinesPerSecond);
}

}  // namespace
}  // namespace portolan::dns
