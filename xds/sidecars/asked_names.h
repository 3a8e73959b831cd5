// Who asks for which Service, out of what the sidecars report: by Service what is reported by
// sidecar. A report costs as much as it has names, 64, and a question as much as there are sidecars
// that asked for the one Service.
//
// A sidecar counts for the Services in its last report, and for kKept longer once it is gone,
// unless more than kMostGone went after it. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/guarded.h"
#include "common/string_map.h"
#include "portolan/v1/sidecars.pb.h"

namespace portolan::xds {

struct AskedBy {
  struct ByPod {
    std::string node;  // NAMESPACE/POD
    uint64_t queries = 0;
    absl::Time last_asked;
  };

  uint64_t pods = 0;
  uint64_t queries = 0;
  absl::Time last_asked = absl::InfinitePast();  // that: nobody did
  std::vector<ByPod> by_pod;                     // those that asked most, these first
};

class AskedNames {
 public:
  static constexpr absl::Duration kKept = absl::Minutes(15);
  static constexpr size_t kMostGone = 4096;

  void OnReport(const std::string& node_id, const v1::NamesReport& names);
  // It reports no more. `now` does not go back.
  void OnGone(const std::string& node_id, absl::Duration now);

  // `service_key` is NAMESPACE/NAME; of the pods at most `most_pods` are named.
  AskedBy Find(std::string_view service_key, size_t most_pods, absl::Duration now) const;

 private:
  struct Asked {
    uint64_t queries = 0;
    int64_t last_asked = 0;  // Unix time in s
  };
  struct Node {
    std::vector<std::string> services;
    // When it went; 0: it has not.
    absl::Duration gone = absl::ZeroDuration();
  };
  struct Gone {
    std::string node_id;
    absl::Duration at;
  };
  struct State {
    StringMap<StringMap<Asked>> by_service;  // by node
    StringMap<Node> nodes;
    std::deque<Gone> gone;  // in order; those that came back are still in it
  };

  static void Forget(State& state, const std::string& node_id);
  static void Sweep(State& state, absl::Duration now);

  mutable Guarded<State> state_;
};

}  // namespace portolan::xds
