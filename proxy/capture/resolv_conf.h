// The nameservers of a resolv.conf(5), as far as their packets can be captured.
//
// Start of the program, one thread.
#pragma once

#include <string>
#include <vector>

#include "common/ip.h"
#include "common/resolv_conf.h"

namespace portolan::proxy {

struct Nameservers {
  std::vector<IpAddress> addresses;  // in the file's order, each once
  // What was left out and why, and why `addresses` is empty if it is: a sentence each, for the log.
  std::vector<std::string> warnings;
};

// Left out beside what is no address: loopback and 0.0.0.0, since an application's own resolver is
// not captured; link-local IPv6, which a redirect to ::1 cannot carry (the answer has no interface
// to leave by).
Nameservers CapturedNameservers(const ResolvConf& conf);

// The same for a file. A file that is absent, or larger than kMaxResolvConfBytes, is a warning and
// has none.
Nameservers ReadNameservers(const std::string& path);

}  // namespace portolan::proxy
