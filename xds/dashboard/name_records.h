// The records that a Service's name has, exactly as a sidecar answers them: each question that one
// would ask is put to the sidecar's own DNS code (sidecar_dns.h).
//
// Asked are A, AAAA and, of an ExternalName, CNAME of the name; SRV of each named port; A and AAAA
// of the names of a headless Service's endpoints; PTR of its addresses and of its ready endpoints'.
// The loop's thread only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "directory/directory.h"
#include "xds/dashboard/sidecar_dns.h"
#include "xds/serving/address_index.h"

namespace portolan::xds {

struct NameRecords {
  static constexpr size_t kMost = 1000;

  // What the name itself has no record of, and why in a sentence.
  struct Missing {
    std::string name;
    std::string type;
    // "NXDOMAIN", "NODATA", "CNAME" where an alias leads to another server, else the reply's rcode.
    std::string answer;
    std::string why;
  };

  std::vector<SidecarDns::Record> records;  // in the order asked, each once
  bool truncated = false;                   // there are more than kMost
  std::vector<Missing> missing;
};

// [{"name", "type", "ttl", "data"}]
nlohmann::json RecordsJson(const std::vector<SidecarDns::Record>& records);

// `addresses` follows `snapshot`, whose Service it is.
NameRecords RecordsOf(SidecarDns& dns, const Snapshot& snapshot, const AddressIndex& addresses,
                      const Service& service, std::string_view cluster_domain);

// From now on `dns` answers questions for these names as a sidecar would: it holds the Services
// that they are of.
void HoldNames(SidecarDns& dns, const Snapshot& snapshot, const AddressIndex& addresses,
               const std::vector<std::string>& names, std::string_view cluster_domain);

}  // namespace portolan::xds
