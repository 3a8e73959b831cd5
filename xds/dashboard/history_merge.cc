#include "xds/dashboard/history_merge.h"

#include <algorithm>
#include <utility>

#include "common/json_fields.h"
#include "directory/listing.h"
#include "xds/dashboard/all_replicas.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

const int64_t kMostApartMs = absl::ToInt64Milliseconds(History::kMostApart);

// Of an answer of another replica; nothing where it is no list.
const json& ListIn(const json& object, const char* key) {
  static const json kNone = json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : kNone;
}

}  // namespace

std::string HistoryToken::ToText() const { return replica + "/" + position.ToToken(); }

std::optional<HistoryToken> HistoryToken::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  auto position = Position::FromToken(text.substr(slash + 1));
  if (!position) return std::nullopt;
  return HistoryToken{std::string(text.substr(0, slash)), *std::move(position)};
}

HistoryMerge::HistoryMerge(std::string self, HistoryPage own,
                           const std::vector<ReplicaAnswer>& others, size_t limit)
    : self_(std::move(self)), limit_(limit), since_(own.since) {
  for (json& entry : own.entries) {
    auto position = PositionOf(entry);
    if (!position) continue;
    changes_.emplace(position->Change(), position->unix_ms);
    own_.push_back({*std::move(position), std::move(entry)});
  }
  if (own.more && !own_.empty()) EndsAt(own_.back().position);
  for (json& gap : own.gaps) {
    gap["replica"] = self_;
    gaps_.push_back(std::move(gap));
  }
  for (const ReplicaAnswer& other : others) TakeOther(other);
}

void HistoryMerge::EndsAt(const Position& position) {
  if (!end_ || position > *end_) end_ = position;
}

// Of a replica that did not run when it happened.
bool HistoryMerge::IsLate(const Placed& placed) const {
  const auto change = changes_.find(placed.position.Change());
  return change != changes_.end() && placed.position.unix_ms - change->second > kMostApartMs;
}

void HistoryMerge::TakeOther(const ReplicaAnswer& other) {
  if (!other.answer.ok() || !other.answer->is_object()) return;
  const json& answer = *other.answer;
  size_t taken = 0;
  for (const json& entry : ListIn(answer, "entries")) {
    if (++taken > limit_) break;
    auto position = PositionOf(entry);
    if (!position) continue;
    const auto [change, is_new] = changes_.try_emplace(position->Change(), position->unix_ms);
    const int64_t known = change->second;
    change->second = std::min(known, position->unix_ms);
    Placed placed{*std::move(position), entry};
    if (is_new || known - placed.position.unix_ms > kMostApartMs) {
      foreign_.push_back(std::move(placed));
    }
  }
  if (const auto end = HistoryToken::Parse(TextOf(answer, "continue"))) EndsAt(end->position);
  if (const auto since = ParseMoment(TextOf(answer, "since")); since.ok()) {
    since_ = std::min(since_, *since);
  }
  for (const json& gap : ListIn(answer, "gaps")) {
    if (!gap.is_object()) continue;
    gaps_.push_back(gap);
    gaps_.back()["replica"] = other.name;
  }
}

std::vector<Position> HistoryMerge::foreign() const {
  std::vector<Position> positions;
  for (const Placed& placed : foreign_) positions.push_back(placed.position);
  return positions;
}

json HistoryMerge::Finish(const std::vector<bool>& held) {
  std::vector<Placed> all = std::move(own_);
  for (size_t i = 0; i < foreign_.size(); ++i) {
    if (i >= held.size() || !held[i]) all.push_back(std::move(foreign_[i]));
  }
  std::erase_if(all, [this](const Placed& placed) {
    return (end_ && placed.position < *end_) || IsLate(placed);
  });
  std::sort(all.begin(), all.end(),
            [](const Placed& a, const Placed& b) { return a.position > b.position; });
  if (all.size() > limit_) {
    all.resize(limit_);
    end_ = all.back().position;
  }
  json entries = json::array();
  for (Placed& placed : all) entries.push_back(std::move(placed.entry));
  json out = {{"entries", std::move(entries)}, {"since", TimeJson(since_)}, {"gaps", gaps_}};
  if (end_) out["continue"] = HistoryToken{self_, *end_}.ToText();
  return out;
}

}  // namespace portolan::xds
