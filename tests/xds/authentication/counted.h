// What a gate has counted.
#pragma once

#include <string>

#include "xds/authentication/token_gate.h"

namespace portolan::xds::test {

// Of portolan_xds_authentications_total; -1: there is no such result.
inline double Authentications(const TokenGate& gate, const std::string& result) {
  MetricFamilies families;
  gate.AddMetrics(families);
  for (const auto& sample : families.at(0).metric) {
    if (sample.label[0].value == result) return sample.counter.value;
  }
  return -1;
}

}  // namespace portolan::xds::test
