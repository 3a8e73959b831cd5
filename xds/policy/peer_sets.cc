#include "xds/policy/peer_sets.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "common/fnv1a.h"
#include "xds/api/policy_codec.h"

namespace portolan::xds {
namespace {

// The finisher of SplitMix64 (https://prng.di.unimi.it/splitmix64.c).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A set's hash is the sum of its members', so that their order does not matter and one more is one
// addition. FNV-1a alone will not do: its last step is linear, and 10.0.0.1 with 10.0.0.2 sums up
// to the same as 10.0.0.0 with 10.0.0.3.
uint64_t HashOf(const Peer& peer) {
  const auto bytes = peer.ip.bytes();
  const char port[] = {static_cast<char>(peer.port >> 8), static_cast<char>(peer.port)};
  const uint64_t ip = Fnv1a({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  return Mix(Fnv1a({port, sizeof port}, ip));
}

std::string VersionOf(uint64_t hash) {
  return fmt::format("{:016x}", hash).substr(0, kVersionDigits);
}

template <typename Key, typename KeyOf>
std::vector<Key> KeysOf(const Peers& peers, IpFamily family, KeyOf key_of) {
  std::vector<Key> keys;
  for (const Peer& peer : peers) {
    if (peer.ip.family() == family) keys.push_back(key_of(peer));
  }
  return keys;
}

}  // namespace

PeerSet::PeerSet(const PeerSelector& selector)
    : about_(std::make_shared<const About>(About{selector.SetName(), selector.Describe()})),
      version_(VersionOf(0)) {}

PeerSet::V4 PeerSet::KeyOfV4(const Peer& peer) {
  V4 key = 0;
  for (const uint8_t byte : peer.ip.bytes()) key = key << 8 | byte;
  return key << 16 | peer.port;
}

PeerSet::V6 PeerSet::KeyOfV6(const Peer& peer) {
  V6 key;
  const auto bytes = peer.ip.bytes();
  std::copy(bytes.begin(), bytes.end(), key.begin());
  key[16] = static_cast<uint8_t>(peer.port >> 8);
  key[17] = static_cast<uint8_t>(peer.port);
  return key;
}

bool PeerSet::Contains(const Peer& peer) const {
  return peer.ip.is_v4() ? v4_.Contains(KeyOfV4(peer)) : v6_.Contains(KeyOfV6(peer));
}

Peers PeerSet::Members() const {
  Peers members;
  members.reserve(size());
  v4_.ForEach([&](V4 key) {
    const auto ip = static_cast<uint32_t>(key >> 16);
    const uint8_t bytes[] = {static_cast<uint8_t>(ip >> 24), static_cast<uint8_t>(ip >> 16),
                             static_cast<uint8_t>(ip >> 8), static_cast<uint8_t>(ip)};
    members.push_back({IpAddress::V4(bytes), static_cast<uint16_t>(key)});
  });
  v6_.ForEach([&](const V6& key) {
    members.push_back(
        {IpAddress::V6(std::span(key).first<16>()), static_cast<uint16_t>(key[16] << 8 | key[17])});
  });
  return members;
}

std::shared_ptr<const PeerSet> PeerSet::Changed(Peers added, Peers removed) const {
  std::shared_ptr<PeerSet> next(new PeerSet);
  next->about_ = about_;
  next->hash_ = hash_;
  for (const Peer& peer : added) next->hash_ += HashOf(peer);
  for (const Peer& peer : removed) next->hash_ -= HashOf(peer);
  next->version_ = VersionOf(next->hash_);
  next->v4_ = v4_.Changed(KeysOf<V4>(added, IpFamily::kIpv4, KeyOfV4),
                          KeysOf<V4>(removed, IpFamily::kIpv4, KeyOfV4));
  next->v6_ = v6_.Changed(KeysOf<V6>(added, IpFamily::kIpv6, KeyOfV6),
                          KeysOf<V6>(removed, IpFamily::kIpv6, KeyOfV6));
  auto change =
      std::make_shared<const Change>(Change{version_, std::move(added), std::move(removed)});
  next->log_ = log_;
  next->log_.push_back(std::move(change));
  next->TrimLog();
  return next;
}

void PeerSet::TrimLog() {
  // One that goes and one that comes, each time, or much at once.
  const size_t most_peers = std::max(2 * kMostChanges, size() / 8);
  size_t peers = 0;
  size_t kept = 0;
  for (auto change = log_.rbegin(); change != log_.rend() && kept < kMostChanges; ++change) {
    peers += (*change)->added.size() + (*change)->removed.size();
    if (peers > most_peers) break;
    ++kept;
  }
  log_.erase(log_.begin(), log_.end() - static_cast<ptrdiff_t>(kept));
}

ResourcePtr PeerSet::Whole() const {
  return encoded_.With([&](Encoded& encoded) {
    if (encoded.whole == nullptr) encoded.whole = EncodeWhole();
    return encoded.whole;
  });
}

ResourcePtr PeerSet::Since(std::string_view held) const {
  const ResourcePtr difference = encoded_.With([&](Encoded& encoded) -> ResourcePtr {
    const auto found = encoded.since.find(held);
    if (found != encoded.since.end()) return found->second;
    ResourcePtr made = EncodeSince(held);
    if (made != nullptr) encoded.since.emplace(std::string(held), made);
    return made;
  });
  return difference == nullptr ? Whole() : difference;
}

ResourcePtr PeerSet::EncodeWhole() const {
  return EncodeResource(ResourceType::kPeerSet, name(), version_,
                        api::ToProto(describes(), Members()));
}

ResourcePtr PeerSet::EncodeSince(std::string_view held) const {
  std::map<Peer, int> net;
  std::string_view reached = version_;
  for (auto change = log_.rbegin(); reached != held; ++change) {
    if (change == log_.rend()) return nullptr;
    for (const Peer& peer : (*change)->added) ++net[peer];
    for (const Peer& peer : (*change)->removed) --net[peer];
    reached = (*change)->base;
  }
  api::PeerSet difference;
  difference.base = std::string(held);
  for (const auto& [peer, by] : net) {
    if (by > 0) difference.added.push_back(peer);
    if (by < 0) difference.removed.push_back(peer);
  }
  if (difference.added.size() + difference.removed.size() > size()) return nullptr;
  return EncodeResource(ResourceType::kPeerSet, name(), version_, api::ToProto(difference));
}

CountedPeers::CountedPeers(PeerSelector selector)
    : selector_(std::move(selector)), set_(std::make_shared<const PeerSet>(selector_)) {}

bool CountedPeers::Commit() {
  Peers added;
  Peers removed;
  auto counted = std::exchange(counted_, {});
  std::sort(counted.begin(), counted.end());
  for (auto one = counted.begin(); one != counted.end();) {
    const Peer peer = one->first;
    int by = 0;
    for (; one != counted.end() && one->first == peer; ++one) by += one->second;
    if (by == 0) continue;
    const auto more = more_.find(peer);
    const int before = set_->Contains(peer) ? 1 + (more == more_.end() ? 0 : more->second) : 0;
    const int now = before + by;
    if (before == 0) added.push_back(peer);
    if (now == 0) removed.push_back(peer);
    if (now > 1) {
      more_.insert_or_assign(peer, now - 1);
    } else if (more != more_.end()) {
      more_.erase(more);
    }
  }
  if (added.empty() && removed.empty()) return false;
  set_ = set_->Changed(std::move(added), std::move(removed));
  return true;
}

}  // namespace portolan::xds
