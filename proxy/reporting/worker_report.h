// What a worker has to report, as a value that goes from its thread to the main loop's.
#pragma once

#include <vector>

#include "proxy/forwarder/passed_through.h"
#include "proxy/policy/denial_table.h"
#include "proxy/reporting/asked_names.h"

namespace portolan::proxy {

struct WorkerReport {
  AskedNames::View asked;
  PassedThrough::View passed_through;
  std::vector<DenialTable::Kind> denials;
};

}  // namespace portolan::proxy
