// What a replica holds, for comparing.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "proxy/feed/replica.h"

namespace portolan::proxy {

// Name to version.
inline std::map<std::string, std::string> Held(const Replica& replica, std::string_view type_url) {
  std::map<std::string, std::string> held;
  replica.ForEachHeld(type_url, [&](const std::string& name, const std::string& version) {
    held.emplace(name, version);
  });
  return held;
}

}  // namespace portolan::proxy
