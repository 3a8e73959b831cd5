// The directive `errors`: logs questions that ended in SERVFAIL.
//
//   errors [stdout] { consolidate ..., stacktrace }
//
// At most kLinesPerSecond a second on each worker; what is left out is counted and told with the
// next line. `consolidate` is accepted with a note: that limit takes its place.
// https://coredns.io/plugins/errors/
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/metrics.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"

namespace portolan::dns {

absl::Status LoadErrors(const corefile::Directive& directive, LoadContext& context);

class Errors : public Plugin {
 public:
  static constexpr int kLinesPerSecond = 5;

  std::string_view name() const override { return "errors"; }
  Verdict OnQuery(Exchange&) override { return Verdict::kNext; }
  After OnReply(Exchange& exchange) override;
  bool TakesChaos() const override { return true; }
  // portolan_errors_total and portolan_errors_unlogged_total.
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  bool MayLog();

  Counter seen_;
  Counter unlogged_;
  uint64_t unlogged_told_ = 0;
  std::chrono::steady_clock::time_point second_begin_;
  int lines_ = 0;
};

}  // namespace portolan::dns
