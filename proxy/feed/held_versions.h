// Which resources of a type are held, and in which version: what a client lists as
// initial_resource_versions when it connects again.
//
// One thread writes. frozen() is an immutable copy as of the last Commit that shares its entries
// with the next; any thread may read it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/shared_map.h"
#include "common/string_map.h"

namespace portolan::proxy {

class HeldVersions {
 public:
  // Name to version. A version may be empty: held, but not known to be what the server has.
  using Frozen = SharedMap<std::string, std::string, StringHash, std::equal_to<>>;

  // Sees what was set and erased since the last commit. Valid until the next change.
  const std::string* Find(std::string_view name) const {
    return edit_ ? edit_->Find(name) : frozen_.Find(name);
  }
  void Set(const std::string& name, std::string version) { edit().Set(name, std::move(version)); }
  void Erase(std::string_view name) {
    if (Find(name) != nullptr) edit().Erase(name);
  }

  void Commit() {
    if (edit_) frozen_ = (*std::move(edit_)).Finish();
    edit_.reset();
  }
  const Frozen& frozen() const { return frozen_; }

 private:
  Frozen::Edit& edit() {
    if (!edit_) edit_.emplace(frozen_);
    return *edit_;
  }

  Frozen frozen_;
  std::optional<Frozen::Edit> edit_;
};

}  // namespace portolan::proxy
