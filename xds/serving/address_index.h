// Which pod has an IP address and which Services list it, as an immutable index that follows the
// directory.
//
// An address of a pod's status is that pod's, also while the pod is terminating. A pod that has
// finished (Succeeded, Failed) has none, as its addresses may be another's by now, and one on the
// host's network has none, as they are the node's. Where two pods name one address the one created
// last has it; of two as old, the one whose namespace/name sorts last: all replicas agree.
//
// An index is read by any number of threads without a lock.
#pragma once

#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/shared_map.h"
#include "directory/directory.h"

namespace portolan::xds {

class AddressIndex {
 public:
  AddressIndex();

  // Null if no pod has it. Valid as long as this index or the snapshot lives.
  const Pod* FindOwner(const IpAddress& ip) const;
  // Services that have the address among their endpoints, ready or not, and are `wanted`: headless
  // ones first, then by name, AddressOwner::kMostServices of them at most.
  std::vector<AddressService> FindServices(
      const IpAddress& ip, absl::FunctionRef<bool(const std::string& service_key)> wanted) const;

  // "namespace/name" of all Services whose slices list the address, in no order; there may be none
  // of that name any more.
  std::span<const std::string> ServicesAt(const IpAddress& ip) const {
    const std::vector<std::string>* keys = services_.Find(ip);
    return keys == nullptr ? std::span<const std::string>() : std::span(*keys);
  }

  // The index of the next snapshot. Adds to `changed`, in text, the addresses that have another
  // owner now, or one in another place, or (where in doubt) other Services.
  AddressIndex Next(const Directory::Committed& committed, std::vector<std::string>* changed) const;

 private:
  // "namespace/name" of the pods or Services that name an address; nearly always one or two.
  using Claims = SharedMap<IpAddress, std::vector<std::string>>;

  void FollowPods(const Directory::Committed& committed, AddressIndex& next,
                  std::set<IpAddress>& changed) const;
  void FollowNodes(const Directory::Committed& committed, std::set<IpAddress>& changed) const;
  void FollowServices(const Directory::Committed& committed, AddressIndex& next,
                      std::set<IpAddress>& changed) const;

  std::shared_ptr<const Snapshot> snapshot_;
  Claims pods_;
  Claims services_;
};

}  // namespace portolan::xds
