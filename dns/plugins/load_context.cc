#include "dns/plugins/load_context.h"

#include "dns/plugins/forward.h"

namespace portolan::dns {

LoadContext::LoadContext(const LoadOptions& options, std::vector<wire::Zone> zones,
                         std::vector<std::string>& notes, HttpSettings& http,
                         FollowedFiles& followed)
    : options_(options),
      zones_(std::move(zones)),
      notes_(notes),
      http_(http),
      followed_(followed),
      forwards_(std::make_shared<ForwardGroup>()) {}

}  // namespace portolan::dns
