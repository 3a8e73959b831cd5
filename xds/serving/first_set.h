// What a wildcard brings a client at first, resource by resource, while the responses that it is
// cut into go out.
//
// All of a type is gone through where it lies: a thousand clients that connect at once hold a place
// in the set each, and no list of it. Of a client that came back only what it lacks is listed. One
// thread at a time.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "xds/serving/resource.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {

class FirstSet {
 public:
  FirstSet() = default;
  explicit FirstSet(ResourceSet::Walk all) : walk_(std::move(all)) { Pop(); }
  explicit FirstSet(std::vector<ResourcePtr> some) : some_(std::move(some)) { Pop(); }

  bool empty() const { return next_ == nullptr; }
  // REQUIRES: not empty.
  const Resource& next() const { return *next_; }
  void Pop() {
    if (walk_.has_value()) {
      next_ = walk_->Next();
      if (next_ == nullptr) walk_.reset();
    } else if (some_.empty()) {
      next_.reset();
      some_.shrink_to_fit();
    } else {
      next_ = std::move(some_.back());
      some_.pop_back();
    }
  }

 private:
  std::optional<ResourceSet::Walk> walk_;
  std::vector<ResourcePtr> some_;
  ResourcePtr next_;
};

}  // namespace portolan::xds
