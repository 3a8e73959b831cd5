#include "dns/plugins/host_name.h"

#include <unistd.h>

#include <array>
#include <climits>

namespace portolan::dns {

std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (gethostname(name.data(), name.size()) != 0 || name[0] == '\0') return "localhost";
  name.back() = '\0';
  return name.data();
}

}  // namespace portolan::dns
