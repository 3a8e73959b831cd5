// The latest kinds of denial of one worker, in a fixed place: what reports and /policy show by
// itself. One that is new takes the place of the one that was denied longest ago. 16 KB; nothing is
// allocated before it is asked for.
//
// The worker's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "proxy/policy/denial.h"

namespace portolan::proxy {

class DenialTable {
 public:
  static constexpr size_t kMostKinds = 32;

  struct Kind {
    Denial latest;       // and the rules it was denied by
    bool is_new = true;  // denied since the table was last taken; else without rules
    uint64_t count = 0;  // since it came into the table
    absl::Duration last;
  };

  // Times are monotonic.
  void Add(Denial denial, absl::Duration now);

  // To be called before denials by other rules come. Of rules that are no longer in force it keeps
  // alive one version: what was denied by an earlier one passes as denied by this.
  void OnReplaced(const std::shared_ptr<const EgressRules>& rules);

  // In no order. What is shown of each is worked out by whom it is told: the rules are let go.
  std::vector<Kind> Take();

 private:
  Kind& PlaceFor(const Denial& denial);

  std::array<Kind, kMostKinds> kinds_;
  size_t size_ = 0;
};

}  // namespace portolan::proxy
