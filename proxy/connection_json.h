// A connection or UDP flow as /connections shows it. Any thread.
#pragma once

#include <nlohmann/json.hpp>

#include "proxy/forwarder/forwarder.h"

namespace portolan::proxy {

nlohmann::json ToJson(const ConnectionInfo& info);

}  // namespace portolan::proxy
