// The histories of all replicas as one page.
//
// Each replica hears of a change by a watch of its own, so the same change is in all of them, at
// times some milliseconds apart: it is shown once, with this replica's time where this one has it.
// What one of them missed, for it did not run or could not write as fast, the others tell. One that
// did not run has what changed meanwhile at the time of its start: of two that are further apart
// than History::kMostApart the earlier is shown, and where the later is on a page before, both are.
//
// Pages go on where one ended: nothing is shown that is older than where a list that has more ends,
// for what belongs before it may not have been sent. Where that is is said in the times of the
// replica that made the page. One thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/string_map.h"
#include "xds/dashboard/replicas.h"
#include "xds/history/history.h"

namespace portolan::xds {

// Where a page ended, as "continue".
struct HistoryToken {
  std::string replica;  // whose page, and so whose times
  Position position;

  std::string ToText() const;
  static std::optional<HistoryToken> Parse(std::string_view text);
};

class HistoryMerge {
 public:
  HistoryMerge(std::string self, HistoryPage own, const std::vector<ReplicaAnswer>& others,
               size_t limit);

  // What others have and this page of ours has not: our history may hold it at another time.
  std::vector<Position> foreign() const;

  // {"entries", "continue", "since", "gaps"}. `held`: which of foreign() are ours, and so shown
  // where we have them.
  nlohmann::json Finish(const std::vector<bool>& held);

 private:
  struct Placed {
    Position position;
    nlohmann::json entry;
  };

  void TakeOther(const ReplicaAnswer& other);
  void EndsAt(const Position& position);
  bool IsLate(const Placed& placed) const;

  const std::string self_;
  const size_t limit_;
  std::vector<Placed> own_;
  std::vector<Placed> foreign_;
  StringMap<int64_t> changes_;  // of both: when it was at the earliest, as Position::unix_ms
  // Nothing before it is shown; nothing: no list has more.
  std::optional<Position> end_;
  absl::Time since_;
  nlohmann::json gaps_ = nlohmann::json::array();
};

}  // namespace portolan::xds
