// Any bytes are a Corefile or an error; never a crash, a hang or a tree deeper than its bound.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dns/corefile/parser.h"

namespace {

using portolan::dns::corefile::Directive;

void CheckDepth(const std::vector<Directive>& directives, int depth) {
  if (depth > portolan::dns::corefile::kMaxDepth) std::abort();
  for (const Directive& directive : directives) CheckDepth(directive.block, depth + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portolan::dns::corefile::ParseOptions options;
  options.environment = [](std::string_view name) { return std::string(name) + "{$A} b"; };
  const auto corefile = portolan::dns::corefile::ParseCorefile(
      {reinterpret_cast<const char*>(data), size}, "Corefile", options);
  if (!corefile.ok()) return 0;
  for (const auto& block : corefile->blocks) {
    if (block.keys.empty()) std::abort();
    CheckDepth(block.directives, 1);
  }
  return 0;
}
