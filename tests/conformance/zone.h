// What an upstream answers out of a file of records, as an authoritative server would.
#pragma once

#include <string>
#include <vector>

#include "tests/dns/question.h"

namespace portolan::dns::test {

class Zones {
 public:
  // Lines of "OWNER TTL TYPE RDATA", all names with their final dot; a SOA begins a zone.
  void Read(const std::string& path);

  // SERVFAIL below fail.test, REFUSED outside of all zones. CNAMEs are followed within them.
  Bytes Answer(const Bytes& query) const;

 private:
  struct Record {
    std::string owner;  // wire form
    uint32_t ttl;
    uint16_t type;
    std::string rdata;  // wire form
  };

  const Record* SoaOf(const std::string& name) const;
  // True if any record has this owner; `add` is called with those of `type`.
  template <typename F>
  bool Find(const std::string& name, uint16_t type, F add) const;

  std::vector<Record> records_;
};

}  // namespace portolan::dns::test
