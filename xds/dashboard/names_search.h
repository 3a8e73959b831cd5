// The words of a search for names, of which all must match:
//
//   back            part of the DNS name, of the external name or of an address; any case
//   default/back    of a namespace; part of the name, which may be empty
//   10.42.0.7       an address: the Services that have it, or that list it or its pod's other
//                   addresses among their endpoints; where there are none, part of one as above
//   app=web         a label
//
// The loop's thread only; valid as long as the index is left alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "directory/directory.h"
#include "xds/serving/address_index.h"

namespace portolan::xds {

// "key", or "key=value".
bool HasLabel(const LabelMap& labels, std::string_view wanted);

class NamesSearch {
 public:
  NamesSearch(std::string_view search, const Snapshot& snapshot, const AddressIndex& addresses);

  bool Matches(const ObjectName& name, std::string_view text) const;

 private:
  struct Word {
    std::string text;
    bool is_label = false;
    bool is_address = false;
    absl::btree_set<ObjectName> at = {};  // where `is_address`
  };

  bool MatchesWord(const Word& word, const ObjectName& name, std::string_view text) const;

  const Snapshot& snapshot_;
  std::vector<Word> words_;
};

}  // namespace portolan::xds
