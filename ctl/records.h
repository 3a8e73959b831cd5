// portolanctl records NAME: what a sidecar answers for a Service's names, as dig prints it.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "ctl/command.h"
#include "ctl/terminal.h"

namespace portolan::ctl {

Run AddRecords(CLI::App& command);

// The "records" of GET /api/v1/names/NAMESPACE/NAME, and why there are none ("noRecords"): those of
// a type, empty: of any; and of names that begin with "HOSTNAME.", empty: of any.
struct RecordFilter {
  std::string type = {};
  std::string hostname = {};
};
std::string RecordsText(const nlohmann::json& answer, const RecordFilter& filter);

}  // namespace portolan::ctl
