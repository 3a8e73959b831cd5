// The nameservers of a resolv.conf(5), as far as their packets can be captured.
//
// Start of the program, one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/ip.h"

namespace portolan::proxy {

struct Nameservers {
  std::vector<IpAddress> addresses;  // in the file's order, each once
  // What was left out and why, and why `addresses` is empty if it is: a sentence each, for the log.
  std::vector<std::string> warnings;
};

// Reads the `nameserver` lines. Left out: what is no address; loopback and 0.0.0.0, since an
// application's own resolver is not captured; link-local IPv6, which a redirect to ::1 cannot carry
// (the answer has no interface to leave by).
Nameservers ParseNameservers(std::string_view resolv_conf);

// The same for a file. A file that is absent, or larger than 64 KiB, is a warning and has none.
Nameservers ReadNameservers(const std::string& path);

}  // namespace portolan::proxy
