#include "dns/plugins/cache_config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "absl/strings/ascii.h"
#include "common/nearest.h"
#include "dns/corefile/zones.h"
#include "dns/plugins/arguments.h"

namespace portolan::dns {
namespace {

using corefile::Directive;
using corefile::Token;

constexpr std::array<std::string_view, 7> kOptions = {
    "success", "denial", "prefetch", "serve_stale", "servfail", "disable", "keepttl"};
constexpr std::array<std::string_view, kCacheKinds> kKinds = {"success", "denial"};
constexpr std::array<std::string_view, 2> kRefreshModes = {"immediate", "verify"};

// CoreDNS has 256 shards of at least 4 entries each.
constexpr uint64_t kShards = 256, kLeastCapacity = 4 * kShards;
constexpr uint64_t kMostCapacity = 1'000'000;
constexpr uint64_t kMostTtl = std::numeric_limits<int32_t>::max();  // RFC 2181 8
constexpr absl::Duration kMostServfail = absl::Minutes(5);

bool IsNumber(const Token& token) {
  const std::string& text = token.text;
  const size_t digits = text.starts_with('-') ? 1 : 0;
  return text.size() > digits &&
         std::all_of(text.begin() + static_cast<ptrdiff_t>(digits), text.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

absl::Status ParseTtl(const Token& token, uint64_t least, uint32_t& out) {
  auto ttl = ParseNumber(token, kMostTtl);
  if (!ttl.ok()) return ttl.status();
  if (*ttl < least) return token.Error("'0': a TTL of 0 would cache nothing");
  out = static_cast<uint32_t>(*ttl);
  return absl::OkStatus();
}

absl::Status ParseKind(const Directive& line, CacheConfig::OfKind& kind) {
  absl::Status status = CheckArguments(line, 1, 3);
  if (!status.ok()) return status;
  const std::vector<Token>& arguments = line.arguments;
  auto capacity = ParseNumber(arguments[0], kMostCapacity);
  if (!capacity.ok()) return capacity.status();
  kind.capacity = std::max(*capacity / kShards * kShards, kLeastCapacity);
  if (arguments.size() > 1) status = ParseTtl(arguments[1], 1, kind.max_ttl);
  if (status.ok() && arguments.size() > 2) status = ParseTtl(arguments[2], 0, kind.min_ttl);
  return status;
}

absl::Status ParsePercentage(const Token& token, uint32_t& out) {
  Token number = token;
  if (!number.text.ends_with('%')) {
    return token.Error(fmt::format("'{}' is not a percentage such as 10%", token.text));
  }
  number.text.pop_back();
  auto percentage = ParseNumber(number, 100);
  if (!percentage.ok()) return percentage.status();
  if (*percentage < 10 || *percentage > 90) {
    return token.Error(fmt::format("'{}' is not from 10% to 90%", token.text));
  }
  out = static_cast<uint32_t>(*percentage);
  return absl::OkStatus();
}

absl::Status ParsePrefetch(const Directive& line, CacheConfig& config) {
  absl::Status status = CheckArguments(line, 1, 3);
  if (!status.ok()) return status;
  const std::vector<Token>& arguments = line.arguments;
  auto amount = ParseNumber(arguments[0], std::numeric_limits<int32_t>::max());
  if (!amount.ok()) return amount.status();
  config.prefetch_amount = static_cast<uint32_t>(*amount);
  if (arguments.size() > 1) {
    auto pause = ParseDuration(arguments[1]);
    if (!pause.ok()) return pause.status();
    config.prefetch_pause = *pause;
  }
  return arguments.size() > 2 ? ParsePercentage(arguments[2], config.prefetch_percentage)
                              : absl::OkStatus();
}

absl::Status ParseServeStale(const Directive& line, CacheConfig& config) {
  absl::Status status = CheckArguments(line, 0, 3);
  if (!status.ok()) return status;
  const std::vector<Token>& arguments = line.arguments;
  config.stale = absl::Hours(1);
  if (!arguments.empty()) {
    auto stale = ParseDuration(arguments[0]);
    if (!stale.ok()) return stale.status();
    config.stale = *stale;
  }
  if (arguments.size() < 2) return absl::OkStatus();
  const Token& mode = arguments[1];
  const std::string word = absl::AsciiStrToLower(mode.text);
  if (std::find(kRefreshModes.begin(), kRefreshModes.end(), word) == kRefreshModes.end()) {
    return mode.Error(fmt::format("unknown refresh mode '{}' of serve_stale: immediate or verify{}",
                                  mode.text, DidYouMean(mode.text, kRefreshModes)));
  }
  if (word == "verify") config.refresh = CacheConfig::Refresh::kVerify;
  if (arguments.size() < 3) return absl::OkStatus();
  if (config.refresh != CacheConfig::Refresh::kVerify) {
    return arguments[2].Error(fmt::format("'{}': only verify has a time limit", arguments[2].text));
  }
  auto timeout = ParseDuration(arguments[2]);
  if (!timeout.ok()) return timeout.status();
  config.verify_timeout = *timeout;
  return absl::OkStatus();
}

absl::Status ParseServfail(const Directive& line, CacheConfig& config) {
  absl::Status status = CheckArguments(line, 1, 1);
  if (!status.ok()) return status;
  auto duration = ParseDuration(line.arguments[0]);
  if (!duration.ok()) return duration.status();
  if (*duration > kMostServfail) {
    return line.arguments[0].Error(
        fmt::format("'{}': SERVFAIL is cached for at most 5m", line.arguments[0].text));
  }
  config.servfail_ttl = static_cast<uint32_t>(absl::ToInt64Seconds(*duration));
  return absl::OkStatus();
}

absl::Status ParseDisable(const Directive& line, CacheConfig& config) {
  if (line.arguments.empty()) return line.name.Error("disable needs success or denial");
  const Token& word = line.arguments[0];
  const auto found = std::find(kKinds.begin(), kKinds.end(), word.text);
  if (found == kKinds.end()) {
    return word.Error(fmt::format("'{}': disable takes success or denial{}", word.text,
                                  DidYouMean(word.text, kKinds)));
  }
  auto zones =
      corefile::ParseZones(std::vector<Token>(line.arguments.begin() + 1, line.arguments.end()));
  if (!zones.ok()) return zones.status();
  if (zones->empty()) zones->push_back(*wire::Zone::Parse("."));
  auto& disabled = config.kinds[static_cast<size_t>(found - kKinds.begin())].disabled;
  disabled.insert(disabled.end(), zones->begin(), zones->end());
  return absl::OkStatus();
}

absl::Status ParseOption(const Directive& line, CacheConfig& config) {
  const std::string& name = line.name.text;
  if (name == "success") return ParseKind(line, config.kinds[0]);
  if (name == "denial") return ParseKind(line, config.kinds[1]);
  if (name == "prefetch") return ParsePrefetch(line, config);
  if (name == "serve_stale") return ParseServeStale(line, config);
  if (name == "servfail") return ParseServfail(line, config);
  if (name == "disable") return ParseDisable(line, config);
  if (name != "keepttl") return UnknownOption(line, "cache", kOptions);
  config.keep_ttl = true;
  return CheckArguments(line, 0, 0);
}

}  // namespace

absl::StatusOr<CacheConfig> ParseCache(const Directive& directive,
                                       const std::vector<wire::Zone>& block_zones) {
  CacheConfig config;
  auto zones = directive.arguments.begin();
  if (zones != directive.arguments.end() && IsNumber(*zones)) {
    for (CacheConfig::OfKind& kind : config.kinds) {
      absl::Status status = ParseTtl(*zones, 1, kind.max_ttl);
      if (!status.ok()) return status;
    }
    ++zones;
  }
  auto parsed = corefile::ParseZones(std::vector<Token>(zones, directive.arguments.end()));
  if (!parsed.ok()) return parsed.status();
  config.zones = parsed->empty() ? block_zones : *std::move(parsed);
  for (const Directive& line : directive.block) {
    absl::Status status = ParseOption(line, config);
    if (!status.ok()) return status;
  }
  return config;
}

}  // namespace portolan::dns
