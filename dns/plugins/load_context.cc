#include "dns/plugins/load_context.h"

#include "dns/plugins/forward.h"

namespace portolan::dns {
namespace {

constexpr absl::Duration kLeastInterval = absl::Milliseconds(100);

}  // namespace

void FollowedFiles::Follow(std::string path, absl::Duration interval,
                           std::optional<FileStamp> stamp) {
  if (interval == absl::ZeroDuration()) return;
  files.push_back({std::move(path), std::max(interval, kLeastInterval), stamp});
}

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
