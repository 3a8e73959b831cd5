#include "proxy/policy/denial_table.h"

#include <algorithm>
#include <utility>

namespace portolan::proxy {

void DenialTable::Add(Denial denial, absl::Duration now) {
  Kind& kind = PlaceFor(denial);
  kind.latest = std::move(denial);
  kind.is_new = true;
  ++kind.count;
  kind.last = now;
}

DenialTable::Kind& DenialTable::PlaceFor(const Denial& denial) {
  const auto end = kinds_.begin() + static_cast<ptrdiff_t>(size_);
  const auto known = std::find_if(
      kinds_.begin(), end, [&](const Kind& kind) { return IsSameKind(kind.latest, denial); });
  if (known != end) return *known;
  if (size_ < kMostKinds) return kinds_[size_++];
  Kind& oldest = *std::min_element(kinds_.begin(), end,
                                   [](const Kind& a, const Kind& b) { return a.last < b.last; });
  oldest.count = 0;
  return oldest;
}

void DenialTable::OnReplaced(const std::shared_ptr<const EgressRules>& rules) {
  for (size_t i = 0; i < size_; ++i) {
    if (kinds_[i].latest.rules != nullptr) kinds_[i].latest.rules = rules;
  }
}

std::vector<DenialTable::Kind> DenialTable::Take() {
  std::vector<Kind> taken(kinds_.begin(), kinds_.begin() + static_cast<ptrdiff_t>(size_));
  for (size_t i = 0; i < size_; ++i) {
    kinds_[i].is_new = false;
    kinds_[i].latest.rules.reset();
  }
  return taken;
}

}  // namespace portolan::proxy
