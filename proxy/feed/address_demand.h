// The addresses whose owners the feed is subscribed to: those that were asked for lately, a bounded
// number.
//
// Times are monotonic. One thread.
#pragma once

#include <list>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "common/ip.h"

namespace portolan::proxy {

class AddressDemand {
 public:
  static constexpr size_t kMost = 4096;
  static constexpr absl::Duration kIdle = absl::Minutes(5);

  // True if the address was not demanded before.
  bool Ask(const IpAddress& ip, absl::Duration now);
  // Gives up what was not asked for within kIdle, and what is over kMost, longest unasked first.
  std::vector<IpAddress> TakeIdle(absl::Duration now);

  size_t size() const { return places_.size(); }
  // visit(const IpAddress&), the longest unasked first.
  template <typename F>
  void ForEach(F&& visit) const {
    for (const Entry& entry : by_age_) visit(entry.ip);
  }

 private:
  struct Entry {
    IpAddress ip;
    absl::Duration asked;
  };

  std::list<Entry> by_age_;  // the longest unasked first
  absl::flat_hash_map<IpAddress, std::list<Entry>::iterator> places_;
};

}  // namespace portolan::proxy
