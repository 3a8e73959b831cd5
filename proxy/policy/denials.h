// What becomes of a denial: it is counted, it comes into the table that reports are made of, and
// now and then it is a line of the log. All gates of a worker tell it.
//
// The worker's thread but for counters(); no lock, and no allocation but for a denial that is
// logged.
#pragma once

#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "proxy/policy/denial.h"
#include "proxy/policy/denial_counters.h"
#include "proxy/policy/denial_log.h"
#include "proxy/policy/denial_table.h"

namespace portolan::proxy {

class Denials {
 public:
  // Null: none is logged. The log outlives it.
  explicit Denials(DenialLog* log = nullptr) : log_(log) {}

  // Those that the gates go by. Null: no policy is known, as at first. Takes a lock.
  void SetRules(std::shared_ptr<const EgressRules> rules);

  // `denial` without rules: it was denied by those that are in force. `now` is monotonic.
  void Add(Denial denial, absl::Duration now);

  std::vector<DenialTable::Kind> TakeLatest() { return latest_.Take(); }
  const DenialCounters& counters() const { return counters_; }

 private:
  DenialLog* const log_;
  std::shared_ptr<const EgressRules> rules_;
  DenialCounters counters_;
  DenialTable latest_;
};

}  // namespace portolan::proxy
