#include "xds/sources/kubernetes/followed_kind.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "xds/sources/into_directory.h"
#include "xds/sources/kubernetes/object_fields.h"

namespace portolan::xds {
namespace {

// Lines for invalid objects, of one list and the watch after it.
constexpr int kMostLogged = 50;

std::vector<ObjectKind> KindsOf(KnownKind kind) {
  switch (kind) {
    case KnownKind::kNamespace:
      return {ObjectKind::kNamespace};
    case KnownKind::kService:
      return {ObjectKind::kService};
    case KnownKind::kEndpointSlice:
      return {ObjectKind::kEndpointSlice, ObjectKind::kImportedSlice};
    case KnownKind::kServiceImport:
      return {ObjectKind::kServiceImport};
    case KnownKind::kPod:
      return {ObjectKind::kPod};
    case KnownKind::kNode:
      return {ObjectKind::kNode};
    case KnownKind::kServiceCidr:
      return {ObjectKind::kServiceCidr};
    case KnownKind::kNetworkPolicy:
      return {ObjectKind::kNetworkPolicy};
    case KnownKind::kDnsEgressPolicy:
      return {ObjectKind::kDnsEgressPolicy};
    case KnownKind::kClusterNetworkPolicy:
      return {ObjectKind::kClusterNetworkPolicy};
    case KnownKind::kAdminNetworkPolicy:
      return {ObjectKind::kAdminNetworkPolicy};
    case KnownKind::kUnknown:
      break;
  }
  return {};
}

std::string VersionOf(const Field& object) {
  const Field metadata = object["metadata"];
  const Field version = metadata["resourceVersion"];
  return version.String();
}

ApiResource WithFields(ApiResource resource) {
  resource.fields = ObjectFields();
  return resource;
}

}  // namespace

FollowedKind::FollowedKind(EventLoop& loop, ApiClient& client, ApiResource resource, KnownKind kind,
                           Directory& directory, Reflector::Options options,
                           std::function<void()> on_change, ObjectObserver* observer)
    : directory_(directory),
      kind_(kind),
      on_change_(std::move(on_change)),
      observer_(observer),
      reflector_(loop, client, WithFields(std::move(resource)), *this, options) {}

void FollowedKind::OnListing(Compare compare) {
  ++list_;
  listing_ = true;
  whole_ = true;
  compare_ = compare;
  logged_ = 0;
}

void FollowedKind::OnObject(const Value& value, absl::Time arrived) {
  FieldErrors errors;
  const Field object(value, errors);
  const ObjectName name = NameOf(object);
  if (!errors.ok()) return OnUnreadable({});
  const std::string key = KeyOf(name);
  const std::string version = VersionOf(object);
  const Field kind = object["kind"];  // absent in a list
  if (kind.present() && kind.String() != reflector_.resource().kind) {
    kind.Fail(fmt::format("'{}' is not {}", kind.String(), reflector_.resource().kind));
  }
  const auto held = held_.find(key);
  const uint64_t digest = StringHash()(version);
  if (held != held_.end()) {
    held->second.list = list_;
    const bool same = held->second.version == digest;
    if (same && listing_ && compare_ == Compare::kByVersion) return;
  }
  std::vector<Object> objects = ReadObjects(object, kind_, {absl::Cord(version), arrived, {}});
  if (observer_ != nullptr) observer_->OnRead(object, errors);
  if (!errors.ok()) return Invalid(key, version, errors);
  Held& now = held_[key];
  now.version = digest;
  now.list = list_;
  SetValid(now, true);
  Put(name, std::move(objects));
  on_change_();
}

void FollowedKind::Put(const ObjectName& name, std::vector<Object> objects) {
  // An object may be less to the directory than it was: a slice that lost a label.
  for (const ObjectId& id : IdsOf(KeyOf(name))) {
    const bool is_there = std::any_of(objects.begin(), objects.end(),
                                      [&](const Object& object) { return IdOf(object) == id; });
    if (!is_there) Remove(directory_, id);
  }
  for (Object& object : objects) xds::Put(directory_, std::move(object));
}

void FollowedKind::Invalid(const std::string& key, const std::string& version,
                           const FieldErrors& errors) {
  Held& held = held_[key];
  const uint64_t digest = StringHash()(version);
  const bool is_news = held.valid || held.version != digest;
  held.version = digest;
  held.list = list_;
  SetValid(held, false);
  if (!is_news || logged_++ >= kMostLogged) return;
  log::warn("{} {}, resourceVersion {}: {}: {}; what was known of it stays in force",
            reflector_.resource().kind, key, version, errors.first().path, errors.first().what);
}

void FollowedKind::SetValid(Held& held, bool valid) {
  if (held.valid == valid) return;
  held.valid = valid;
  invalid_ += valid ? -1 : 1;
}

void FollowedKind::OnDeleted(const Value& value) {
  FieldErrors errors;
  const Field object(value, errors);
  const ObjectName name = NameOf(object);
  if (!errors.ok()) return;
  const auto held = held_.find(KeyOf(name));
  if (held == held_.end()) return;
  SetValid(held->second, true);
  Forget(held->first);
  held_.erase(held);
}

void FollowedKind::Forget(std::string_view key) {
  for (const ObjectId& id : IdsOf(key)) Remove(directory_, id);
  if (observer_ != nullptr) observer_->OnGone(key);
  on_change_();
}

void FollowedKind::OnUnreadable(std::string_view name) {
  const auto held = held_.find(name);
  if (held != held_.end()) {
    held->second.list = list_;
  } else if (name.empty()) {
    whole_ = false;
  }
}

void FollowedKind::OnListed() {
  listing_ = false;
  if (whole_) {
    absl::erase_if(held_, [this](auto& entry) {
      if (entry.second.list == list_) return false;
      SetValid(entry.second, true);
      Forget(entry.first);
      return true;
    });
  }
  Known();
}

// What was held stays: an API that is away for a moment, as its definition is made anew, is no
// reason to forget. The next list says what is left, or the Reflector that nothing is.
void FollowedKind::OnAbsent() { Known(); }

void FollowedKind::Known() {
  known_ = true;
  on_change_();
}

std::string FollowedKind::KeyOf(const ObjectName& name) const {
  return InNamespaces(kind_) ? name.ToString() : name.name;
}

std::vector<ObjectId> FollowedKind::IdsOf(std::string_view key) const {
  const size_t slash = key.find('/');
  ObjectName name;
  if (slash != std::string_view::npos) name.ns = key.substr(0, slash);
  name.name = key.substr(slash == std::string_view::npos ? 0 : slash + 1);
  std::vector<ObjectId> ids;
  for (const ObjectKind kind : KindsOf(kind_)) ids.push_back({kind, name});
  return ids;
}

}  // namespace portolan::xds
