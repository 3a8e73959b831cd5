// What a denial was of, in one word. Any thread.
#pragma once

#include <string>

#include "absl/strings/ascii.h"
#include "portolan/v1/sidecars.pb.h"

namespace portolan::api {

// "connection", "flow", "name": as in the enum, in lower case. "unknown": of a newer sidecar.
inline std::string Word(v1::DenialReport::What what) {
  const std::string& name = v1::DenialReport::What_Name(what);
  return name.empty() ? "unknown" : absl::AsciiStrToLower(name);
}

}  // namespace portolan::api
