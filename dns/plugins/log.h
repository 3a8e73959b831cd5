// The directive `log`: a line on standard output for each query that was answered. May stand
// several times; the first whose NAMES hold the name asked counts.
//
//   log [NAMES...] [FORMAT] {
//       class all|denial|error|success ...     default all
//   }
//
// FORMAT is a word with a brace in it (dns/plugins/log_format.h), {common} if none is given. A
// worker never waits for the reader of the output: what does not fit is dropped and counted
// (common/line_output.h). Zone transfers and queries that get no reply are not logged.
// https://coredns.io/plugins/log/
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/line_output.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/plugins/log_format.h"
#include "dns/wire/name.h"

namespace portolan::dns {

// CoreDNS's plugin/pkg/response: NOERROR that answers or refers is a success; NXDOMAIN and NOERROR
// without records are denials when they carry the zone's SOA; the rest is an error.
enum class ReplyClass : uint8_t { kSuccess, kDenial, kError };
ReplyClass ClassOf(std::span<const uint8_t> reply);

struct LogRule {
  std::vector<wire::Zone> names;
  LogFormat format;
  std::array<bool, 3> classes{};  // by ReplyClass
};

// Those of a server block.
struct LogRules {
  std::vector<LogRule> rules;
};

absl::Status LoadLog(const corefile::Directive& directive, LoadContext& context);

class Log : public Plugin {
 public:
  Log(std::shared_ptr<const LogRules> rules, LineOutput& output)
      : rules_(std::move(rules)), writer_(output.Open()) {}

  std::string_view name() const override { return "log"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;
  bool TakesChaos() const override { return true; }
  // portolan_log_lines_total and portolan_log_dropped_total.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  const LogRule* Find(const wire::Query& query) const;

  const std::shared_ptr<const LogRules> rules_;
  const std::unique_ptr<LineOutput::Writer> writer_;
  Counter lines_;
  Counter dropped_;
};

}  // namespace portolan::dns
