// Every directive that CoreDNS knows, in the order in which CoreDNS runs them (its plugin.cfg), and
// what becomes of each here. The order of links in a chain is this one, whatever the file's.
//
// docs/dns.md shows the same table. Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dns/plugins/load_context.h"

namespace portolan::dns {

enum class DirectiveState : uint8_t {
  kActive,     // a link of the chain, or a setting that the program follows
  kAccepted,   // read, without effect yet; Config::notes says so
  kForwarded,  // its zones are answered by the cluster DNS, which has what the directive names
};

struct DirectiveInfo {
  std::string_view name;
  DirectiveState state;
  // CoreDNS refuses a second one in a server block.
  bool once;
  // What the user must know when the directive is not active.
  std::string_view consequence;
  // Null for those of which nothing but the name is read.
  Loader load = nullptr;
};

std::span<const DirectiveInfo> AllDirectives();

// Null if there is no such directive.
const DirectiveInfo* FindDirective(std::string_view name);

// The place in AllDirectives. REQUIRES: FindDirective(name) is not null.
size_t ChainPlace(std::string_view name);

// "unknown directive 'kubernets', did you mean 'kubernetes'?"
std::string UnknownDirective(std::string_view name);

}  // namespace portolan::dns
