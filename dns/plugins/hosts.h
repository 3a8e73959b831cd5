// The directive `hosts`: answers out of a hosts file and lines of the Corefile.
//
//   hosts [FILE [ZONES...]] {
//       ADDRESS NAME...
//       ttl SECONDS             default 3600
//       no_reverse
//       fallthrough [ZONES...]
//       fallthrough_unsupported
//       reload DURATION         default 5s, at least 100ms; 0: not followed
//   }
//
// A, AAAA and PTR, as CoreDNS answers them (https://coredns.io/plugins/hosts/): a name that is
// there without an address of the type asked is NODATA; one that is not there goes on with
// `fallthrough` and is SERVFAIL without; a PTR that is not there always goes on. With
// `fallthrough_unsupported` so do other types than A and AAAA of names that are there, where
// `fallthrough` holds. "*.example" stands for every name one label below example that is not there
// itself, and gives no PTR. The table is immutable and shared by all workers; when the file changes
// the program loads the configuration anew.
#pragma once

#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "common/string_map.h"
#include "dns/corefile/ast.h"
#include "dns/plugin.h"
#include "dns/plugins/load_context.h"
#include "dns/wire/name.h"

namespace portolan::dns {

inline constexpr size_t kMaxHostsBytes = 16 << 20;

// Where a name stands first; line 0: nowhere.
struct HostsPlace {
  uint32_t line = 0;
  bool in_corefile = false;  // else in the file
};

class HostsTable {
 public:
  struct Addresses {
    std::vector<IpAddress> v4, v6;
    HostsPlace place;
  };

  // Names are wire form in lower case.
  void Add(const IpAddress& address, const std::string& name, HostsPlace place = {});
  // Lines of hosts(5). Lines and names that are none are left out. Returns how many were.
  size_t AddFile(std::string_view text);

  // Of the name itself, else of the wildcard above it.
  const Addresses* FindName(std::string_view name) const;
  // The names of the address that "4.3.2.1.in-addr.arpa" stands for.
  const std::vector<std::string>* FindReverse(std::string_view reverse_name) const;
  size_t size() const { return entries_; }

 private:
  StringMap<Addresses> by_name_;
  // The lengths that names in it have: few, so that most questions need not be hashed.
  std::bitset<wire::kMaxNameBytes + 1> name_bytes_;
  StringMap<std::vector<std::string>> by_reverse_;
  size_t entries_ = 0;
  bool has_wildcards_ = false;
};

struct HostsConfig {
  std::vector<wire::Zone> zones;
  std::vector<wire::Zone> fallthrough;
  uint32_t ttl = 3600;  // seconds
  bool unsupported_fall_through = false;
  bool reverse = true;
  std::string file;
  std::string corefile;                          // its name
  absl::Time file_modified = absl::UnixEpoch();  // or that, where there is no file
  absl::Duration reload = absl::Seconds(5);
  std::shared_ptr<const HostsTable> table;
};

// `default_file` is read where the directive names none; a file that cannot be read is noted and
// its lines are missing. At load, not on a worker. Errors are Token::Error.
absl::StatusOr<HostsConfig> ParseHosts(const corefile::Directive& directive,
                                       const std::vector<wire::Zone>& block_zones,
                                       const std::string& default_file,
                                       std::vector<std::string>* notes);

absl::Status LoadHosts(const corefile::Directive& directive, LoadContext& context);

class Hosts : public Plugin {
 public:
  explicit Hosts(HostsConfig config) : config_(std::move(config)) {}

  std::string_view name() const override { return "hosts"; }
  Verdict OnQuery(Exchange& exchange) override;
  nlohmann::json Explain(const Exchange& exchange) const override;
  void CollectMetrics(MetricFamilies& families) const override;

 private:
  Verdict AnswerReverse(Exchange& exchange);
  Verdict AnswerAddresses(Exchange& exchange, const HostsTable::Addresses& addresses);

  const HostsConfig config_;
  Counter answered_;
  Counter failed_;
};

}  // namespace portolan::dns
