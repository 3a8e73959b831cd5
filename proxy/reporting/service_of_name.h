// Which Service a name is below. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace portolan::proxy {

// "default/backend" of "0.backend.default.svc.cluster.local." in any case, be there such a Service
// or not; empty for others. The name has its final dot.
std::string ServiceKeyOf(std::string_view name, std::string_view cluster_domain);

}  // namespace portolan::proxy
