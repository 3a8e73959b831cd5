#include "xds/dashboard/names_search.h"

#include <algorithm>

#include "common/text.h"
#include "xds/history/state.h"

namespace portolan::xds {
namespace {

absl::btree_set<ObjectName> NamesAt(const IpAddress& address, const Snapshot& snapshot,
                                    const AddressIndex& addresses) {
  absl::btree_set<ObjectName> found;
  if (const Service* owner = snapshot.FindServiceByAddress(address)) found.insert(owner->name);
  std::vector<IpAddress> ips = {address};
  if (const Pod* pod = addresses.FindOwner(address)) ips = pod->ips;
  for (const IpAddress& ip : ips) {
    for (const std::string& key : addresses.ServicesAt(ip)) {
      if (snapshot.FindService(key) != nullptr) found.insert(NameOf(key));
    }
  }
  return found;
}

}  // namespace

bool HasLabel(const LabelMap& labels, std::string_view wanted) {
  const size_t equals = wanted.find('=');
  const std::string_view key = wanted.substr(0, equals);
  return std::any_of(labels.begin(), labels.end(), [&](const auto& label) {
    return label.first == key &&
           (equals == wanted.npos || label.second == wanted.substr(equals + 1));
  });
}

NamesSearch::NamesSearch(std::string_view search, const Snapshot& snapshot,
                         const AddressIndex& addresses)
    : snapshot_(snapshot) {
  for (const std::string_view text : SplitBlanks(search)) {
    if (text.find('=') != text.npos) {
      words_.push_back({std::string(text), true});  // labels have their case
      continue;
    }
    Word word{Lower(text)};
    if (const auto address = IpAddress::Parse(text); address.ok()) {
      word.at = NamesAt(*address, snapshot, addresses);
      word.is_address = !word.at.empty();
    }
    words_.push_back(std::move(word));
  }
}

bool NamesSearch::Matches(const ObjectName& name, std::string_view text) const {
  return std::all_of(words_.begin(), words_.end(),
                     [&](const Word& word) { return MatchesWord(word, name, text); });
}

bool NamesSearch::MatchesWord(const Word& word, const ObjectName& name,
                              std::string_view text) const {
  if (word.is_address) return word.at.contains(name);
  if (word.is_label) {
    const Service* service = snapshot_.FindService(name.ns, name.name);
    return service != nullptr && HasLabel(*service->labels, word.text);
  }
  const size_t slash = word.text.find('/');
  if (slash == std::string::npos) return text.find(word.text) != text.npos;
  return std::string_view(word.text).substr(0, slash) == name.ns &&
         name.name.find(std::string_view(word.text).substr(slash + 1)) != std::string::npos;
}

}  // namespace portolan::xds
