#include "xds/history/state.h"

#include <zlib.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>
#include <variant>
#include <vector>

#include "common/status.h"
#include "xds/api/codec.h"

namespace portolan::xds {
namespace {

// A frame is this many bytes, least significant first, that say how long it is uncompressed, and a
// zlib stream (RFC 1950), which makes at most so much of a byte.
constexpr size_t kLengthBytes = 4;
constexpr size_t kMostInflated = 1032;
// 100,000 endpoints of one Service are some 5 MB.
constexpr size_t kMaxStateBytes = 64u << 20;

template <typename... Args>
absl::Status Damaged(fmt::format_string<Args...> format, Args&&... args) {
  return InvalidArgument("the kept history is damaged: {}",
                         fmt::format(format, std::forward<Args>(args)...));
}

std::string Compress(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(kLengthBytes + size, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) out[i] = static_cast<char>(bytes.size() >> (8 * i));
  compress2(reinterpret_cast<Bytef*>(out.data() + kLengthBytes), &size,
            reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), Z_DEFAULT_COMPRESSION);
  out.resize(kLengthBytes + size);
  return out;
}

absl::StatusOr<std::string> Decompress(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) return Damaged("a frame of {} bytes", bytes.size());
  size_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<size_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  }
  bytes.remove_prefix(kLengthBytes);
  if (length > std::min(kMaxStateBytes, bytes.size() * kMostInflated)) {
    return Damaged("{} bytes in a frame of {}", length, bytes.size());
  }
  std::string out(length, '\0');
  uLongf size = length;
  const int result =
      uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                 reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uLong>(bytes.size()));
  if (result != Z_OK || size != length) return Damaged("a frame is no zlib stream");
  return out;
}

history::Origin ToProto(const Origin& origin, absl::Time triggered) {
  history::Origin proto;
  proto.set_resource_version(std::string(origin.resource_version));
  proto.set_arrived_unix_ms(absl::ToUnixMillis(origin.arrived));
  if (triggered > absl::UnixEpoch()) proto.set_triggered_unix_s(absl::ToUnixSeconds(triggered));
  return proto;
}

Origin FromProto(const history::Origin& proto) {
  return {absl::Cord(proto.resource_version()), absl::FromUnixMillis(proto.arrived_unix_ms()), {}};
}

absl::Time TriggeredAt(int64_t unix_s) {
  return unix_s > 0 ? absl::FromUnixSeconds(unix_s) : absl::InfinitePast();
}

template <typename T>
absl::StatusOr<T> Parse(std::string_view type_url, std::string name, const std::string& bytes) {
  envoy::service::discovery::v3::Resource resource;
  resource.set_name(std::move(name));
  resource.mutable_resource()->set_type_url(std::string(type_url));
  resource.mutable_resource()->set_value(bytes);
  auto parsed = api::ParseDirectoryResource(type_url, resource);
  if (!parsed.ok()) return Damaged("{}", Message(parsed.status()));
  T* value = std::get_if<T>(&*parsed);
  if (value == nullptr) return Damaged("a {} is something else", type_url);
  return std::move(*value);
}

absl::StatusOr<Service> ParseService(const ObjectName& name, const std::string& bytes,
                                     const Origin& origin) {
  auto service = Parse<Service>(api::kServiceType, name.ToString(), bytes);
  if (service.ok()) service->origin = origin;
  return service;
}

absl::StatusOr<EndpointSlice> ParseSlice(const ObjectName& name, const std::string& slice_name,
                                         const std::string& bytes, const Origin& origin,
                                         int64_t triggered_unix_s) {
  auto slice = Parse<EndpointSlice>(api::kEndpointsType, name.ToString() + "/" + slice_name, bytes);
  if (!slice.ok()) return slice;
  slice->origin = origin;
  slice->triggered = TriggeredAt(triggered_unix_s);
  return slice;
}

// Whether the places are those of `size` endpoints, those erased in order.
bool Fits(const history::Delta& delta, size_t size) {
  const auto beyond = [size](uint32_t place) { return place >= size; };
  for (const history::Conditions& at : delta.conditions()) {
    if (beyond(at.place())) return false;
  }
  const auto& replaced = delta.replaced();
  const auto& erased = delta.erased();
  return std::none_of(replaced.begin(), replaced.end(), beyond) &&
         std::none_of(erased.begin(), erased.end(), beyond) &&
         std::adjacent_find(erased.begin(), erased.end(), std::greater_equal<>()) == erased.end();
}

void Erase(const google::protobuf::RepeatedField<uint32_t>& places, std::vector<Endpoint>& from) {
  size_t kept = 0;
  auto erased = places.begin();
  for (size_t place = 0; place < from.size(); ++place) {
    if (erased != places.end() && *erased == place) {
      ++erased;
      continue;
    }
    if (kept != place) from[kept] = std::move(from[place]);
    ++kept;
  }
  from.resize(kept);
}

absl::Status Edit(const Entry& entry, EndpointSlice& slice) {
  const history::Delta& delta = entry.delta;
  std::vector<Endpoint> put;
  if (!delta.put().empty()) {
    auto parsed = ParseSlice(entry.position.name, slice.name.name, delta.put(), {}, 0);
    if (!parsed.ok()) return parsed.status();
    if (parsed->family != slice.family) return Damaged("endpoints of another family");
    put = std::move(parsed->endpoints);
  }
  const auto replaced = static_cast<size_t>(delta.replaced_size());
  if (!Fits(delta, slice.endpoints.size()) || put.size() < replaced) {
    return Damaged("an edit does not fit its slice {}", slice.name.ToString());
  }
  for (const history::Conditions& at : delta.conditions()) {
    slice.endpoints[at.place()].conditions = ConditionsOf(at.conditions());
  }
  for (size_t i = 0; i < replaced; ++i) {
    slice.endpoints[delta.replaced(static_cast<int>(i))] = std::move(put[i]);
  }
  Erase(delta.erased(), slice.endpoints);
  std::move(put.begin() + static_cast<ptrdiff_t>(replaced), put.end(),
            std::back_inserter(slice.endpoints));
  return absl::OkStatus();
}

absl::Status ApplyToSlice(const Entry& entry, NameState& state) {
  const Position& at = entry.position;
  const history::Delta& delta = entry.delta;
  const Origin origin{absl::Cord(at.resource_version), absl::FromUnixMillis(at.unix_ms), {}};
  if (delta.gone()) {
    state.slices.erase(at.slice);
    return absl::OkStatus();
  }
  if (!delta.whole().empty()) {
    auto slice = ParseSlice(at.name, at.slice, delta.whole(), origin, delta.triggered_unix_s());
    if (!slice.ok()) return slice.status();
    state.slices[at.slice] = *std::move(slice);
    return absl::OkStatus();
  }
  const auto found = state.slices.find(at.slice);
  if (found == state.slices.end()) return Damaged("an edit of a slice that is not there");
  found->second.origin = origin;
  found->second.triggered = TriggeredAt(delta.triggered_unix_s());
  return Edit(entry, found->second);
}

}  // namespace

StateView StateIn(const Snapshot& snapshot, const std::string& service_key) {
  return {snapshot.FindService(service_key), snapshot.FindSlices(service_key)};
}

ObjectName NameOf(std::string_view service_key) {
  const size_t slash = std::min(service_key.find('/'), service_key.size());
  return {std::string(service_key.substr(0, slash)),
          std::string(service_key.substr(std::min(slash + 1, service_key.size())))};
}

std::string EncodeState(const StateView& state) {
  history::State proto;
  if (state.service != nullptr) {
    proto.set_service(api::ToProto(*state.service).SerializeAsString());
    *proto.mutable_service_origin() = ToProto(state.service->origin, absl::InfinitePast());
  }
  if (state.slices != nullptr) {
    for (const auto& [name, slice] : *state.slices) {
      history::Slice& to = *proto.add_slices();
      to.set_name(name);
      to.set_endpoints(api::ToProto(*slice).SerializeAsString());
      *to.mutable_origin() = ToProto(slice->origin, slice->triggered);
    }
  }
  return Compress(proto.SerializeAsString());
}

absl::StatusOr<NameState> DecodeState(const ObjectName& name, std::string_view bytes) {
  const auto text = Decompress(bytes);
  if (!text.ok()) return text.status();
  history::State proto;
  if (!proto.ParseFromString(*text)) return Damaged("a frame is no State");
  NameState state;
  if (!proto.service().empty()) {
    auto service = ParseService(name, proto.service(), FromProto(proto.service_origin()));
    if (!service.ok()) return service.status();
    state.service = *std::move(service);
  }
  for (const history::Slice& from : proto.slices()) {
    auto slice = ParseSlice(name, from.name(), from.endpoints(), FromProto(from.origin()),
                            from.origin().triggered_unix_s());
    if (!slice.ok()) return slice.status();
    state.slices[from.name()] = *std::move(slice);
  }
  return state;
}

absl::StatusOr<history::Delta> DecodeDelta(std::string_view bytes) {
  history::Delta delta;
  if (!delta.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Damaged("a row is no Delta");
  }
  return delta;
}

absl::Status Apply(const Entry& entry, NameState& state) {
  const Position& at = entry.position;
  if (at.cause == Cause::kFirstSeen) return Damaged("no frame for what was seen first");
  if (at.kind == HistoryKind::kEndpointSlice) return ApplyToSlice(entry, state);
  if (entry.delta.service().empty()) {
    state.service.reset();
    return absl::OkStatus();
  }
  auto service =
      ParseService(at.name, entry.delta.service(),
                   {absl::Cord(at.resource_version), absl::FromUnixMillis(at.unix_ms), {}});
  if (!service.ok()) return service.status();
  state.service = *std::move(service);
  return absl::OkStatus();
}

std::shared_ptr<const Snapshot> SnapshotOf(NameState state) {
  Directory directory;
  if (state.service) directory.Put(*std::move(state.service));
  for (auto& [name, slice] : state.slices) directory.Put(std::move(slice));
  return directory.Commit().snapshot;
}

}  // namespace portolan::xds
