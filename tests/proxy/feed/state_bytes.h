// A state file without a file.
#pragma once

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>

#include "proxy/feed/saved_state.h"

namespace portolan::proxy {

inline std::string StateBytes(const StateImage& image) {
  std::string body;
  {
    google::protobuf::io::StringOutputStream stream(&body);
    EncodeState(image, stream);
  }
  return SealState(body);
}

}  // namespace portolan::proxy
