// A question to a gate on names, and the reply to it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/exchange.h"
#include "dns/wire/reply.h"
#include "tests/dns/question.h"
#include "tests/policy/policies.h"

namespace portolan::proxy {

class NoPool : public dns::SuspendedPool {
  dns::Suspended* Suspend(dns::Exchange&) override { return nullptr; }
};

// A question and the room for its reply.
struct Asked {
  explicit Asked(std::string_view name, uint16_t type = dns::wire::type::kA,
                 dns::Transport transport = dns::Transport::kUdp)
      : message(dns::test::MakeQuery(name, type)) {
    EXPECT_EQ(dns::wire::ParseQuery(message, query), dns::wire::ParseOutcome::kQuery);
    exchange.emplace(query, At("10.42.0.7:4321"), transport, room, pool);
    exchange->set_max_reply_bytes(room.size());
    exchange->set_received(std::chrono::steady_clock::now());
  }

  struct Record {
    std::string owner;
    uint16_t type;
    uint32_t ttl;
    std::vector<uint8_t> rdata;
  };
  void Reply(const std::vector<Record>& records,
             dns::wire::Section section = dns::wire::Section::kAnswer) {
    dns::wire::ReplyWriter writer(query, room, room.size());
    for (const Record& record : records) {
      const auto rdata =
          writer.Add(section, Wire(record.owner), record.type, record.ttl, record.rdata.size());
      std::copy(record.rdata.begin(), record.rdata.end(), rdata.begin());
    }
    exchange->set_reply_bytes(writer.Finish(dns::wire::Rcode::kNoError, 0));
  }

  dns::test::Bytes message;
  dns::wire::Query query;
  std::vector<uint8_t> room = std::vector<uint8_t>(dns::wire::kMaxMessageBytes);
  NoPool pool;
  std::optional<dns::Exchange> exchange;
};

inline std::vector<uint8_t> IpBytes(std::string_view text) {
  const IpAddress ip = Ip(text);
  return {ip.bytes().begin(), ip.bytes().end()};
}

}  // namespace portolan::proxy
