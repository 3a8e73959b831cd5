// What is asked for on demand, for tests that bring it themselves.
#pragma once

#include <string>
#include <vector>

#include "dns/on_demand.h"

namespace portolan::dns::test {

class RecordingOnDemand : public OnDemand {
 public:
  Verdict WaitForAddress(const IpAddress& ip, Exchange&) override {
    awaited.push_back(ip.ToString());
    return verdict;
  }
  Verdict WaitForEndpoints(const ServiceKey& service, Exchange&) override {
    awaited.emplace_back(service.view());
    return verdict;
  }
  void PrefetchEndpoints(const ServiceKey& service) override {
    wanted.emplace_back(service.view());
  }

  Verdict verdict = Verdict::kPending;
  // Addresses and Services.
  std::vector<std::string> awaited, wanted;
};

}  // namespace portolan::dns::test
