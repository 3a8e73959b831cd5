// Which namespaces see a Service: the annotation `portolan.dev/export-to` of the Service or, where
// that has none, of its Namespace. Without either all do.
//
//   portolan.dev/export-to: "*"                 all
//   portolan.dev/export-to: "."                 its own namespace alone
//   portolan.dev/export-to: "shop, checkout"    these and its own
//
// A sidecar in a namespace that does not see a Service is not told of it, so that neither its name
// nor its address means anything there. This keeps names apart; it keeps nobody out: whoever knows
// the address still reaches it by way of the cluster's own network. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "directory/model.h"

namespace portolan::xds {

class ExportTo {
 public:
  // Null: to all. `ns` is null when there is no such namespace. An entry that is no namespace's
  // name is left out, with a log line; the others count.
  static std::shared_ptr<const ExportTo> Of(const Service& service, const Namespace* ns);

  // `viewer` is a namespace; empty: one who is in none.
  bool Allows(std::string_view viewer) const;

  friend bool operator==(const ExportTo&, const ExportTo&) = default;

 private:
  std::vector<std::string> namespaces_;  // sorted
};

}  // namespace portolan::xds
