// Puts the endpoints of Services together out of heads and slices, so that a Service's set changes
// as a whole: the directory shows a new set only once every slice that the head lists is held in
// the version that the head lists (portolan/v1/directory.proto).
//
// A set that is whole costs nothing here but the versions of its resources; its slices live in the
// directory. Only sets that are on their way to the next version keep a record. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "directory/directory.h"
#include "proxy/feed/held_versions.h"
#include "xds/api/codec.h"

namespace portolan::proxy {

class EndpointSets {
 public:
  // Of Slices::kOfThoseAskedFor a head that is not there, or lists nothing, is shown as well: that
  // there are no slices.
  explicit EndpointSets(Directory::Slices slices) : slices_(slices) {}

  void PutHead(api::EndpointsHead head, std::string version);
  void PutSlice(EndpointSlice slice, std::string version);
  // A head or a slice, by resource name. Removing what is not held changes nothing, but that there
  // is no head of a Service that was asked for.
  void Remove(std::string_view resource_name);
  // Nothing of the Service is held from now on.
  void Forget(const std::string& service_key, Directory& directory);

  // Gives `directory` every set that became whole since the last call. Its changes must have been
  // committed since then.
  void Show(Directory& directory);

  // Of heads and slices, by resource name.
  HeldVersions& versions() { return versions_; }
  const HeldVersions& versions() const { return versions_; }

  // Services whose held resources and shown set differ: parts are still on their way.
  StringSet InTransit() const;
  size_t in_transit_count() const { return in_transit_.size(); }

 private:
  struct Transit {
    // The newest head, if it came after the set that is shown. An empty list when the head was
    // removed.
    std::optional<std::vector<api::EndpointsHead::Listed>> head;
    // Slices that are held and not shown in the held version.
    std::map<std::string, EndpointSlice, std::less<>> waiting;
  };
  struct Edits {
    std::vector<ObjectName> hide;
    std::vector<EndpointSlice> show;
    std::vector<std::string> none;  // Services
  };

  bool IsWhole(const std::string& service_key, const Transit& set, const SliceSet* shown) const;
  void ShowWhole(const std::string& service_key, Transit& set, const SliceSet* shown, Edits& edits);

  const Directory::Slices slices_;
  HeldVersions versions_;
  StringMap<Transit> in_transit_;
  StringSet touched_;
};

}  // namespace portolan::proxy
