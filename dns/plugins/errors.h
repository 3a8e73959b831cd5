// The directive `errors`: a line on standard output for each question that could not be answered.
//
//   errors [stdout] {
//       consolidate DURATION REGEXP [warning|error|info|debug] [show_first]
//       stacktrace                                              accepted: there are no panics here
//   }
//
//   [ERROR] plugin/errors: 2 example.org. A: read udp from every upstream: i/o timeout
//   [ERROR] plugin/errors: 3 errors like '^read udp .* i/o timeout$' occurred in last 30s
//
// An error is a SERVFAIL of our own, not one that an upstream said; its text is the reason that the
// link gave (Exchange::AddExtendedError). Those that match a REGEXP (the first that does) are
// counted for DURATION from the first on, by all workers together, and told in one line. Level
// debug is not printed. A worker never waits for the reader of the output
// (common/line_output.h). https://coredns.io/plugins/errors/
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/line_output.h"
#include "common/metrics.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace re2 {
class RE2;
}

namespace portolan::dns {

absl::Status LoadErrors(const corefile::Directive& directive, LoadContext& context);

// One `consolidate`. Shared by the workers.
struct ErrorPattern {
  enum class First : uint8_t { kCounted, kShown };

  absl::Duration period;
  std::unique_ptr<const re2::RE2> regexp;
  std::string level = "ERROR";
  First first = First::kCounted;
  // Since the period began. Who counts the first one ends the period.
  std::atomic<uint32_t> count = 0;

  ErrorPattern();
  ~ErrorPattern();
};
using ErrorPatterns = std::vector<std::unique_ptr<ErrorPattern>>;

class Errors : public Plugin {
 public:
  Errors(std::shared_ptr<const ErrorPatterns> patterns, EventLoop& loop, LineOutput& output);
  // Tells what the periods that this worker ends have counted so far.
  ~Errors() override;

  std::string_view name() const override { return "errors"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;
  bool TakesChaos() const override { return true; }
  // portolan_errors_total, and portolan_errors_unlogged_total: lines there was no room for.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  void Report(const Exchange& exchange, std::string_view reason);
  void Count(size_t pattern, const Exchange& exchange, std::string_view reason);
  void EndPeriod(ErrorPattern& pattern);
  void Print(std::string_view level, const Exchange& exchange, std::string_view reason);
  void Write(std::string_view level, std::string_view line);

  const std::shared_ptr<const ErrorPatterns> patterns_;
  const std::unique_ptr<LineOutput::Writer> writer_;
  std::vector<EventLoop::Timer> periods_;  // as patterns_
  std::vector<bool> ends_period_;          // by this worker
  Counter seen_;
  Counter unlogged_;
};

}  // namespace portolan::dns
