#include "xds/sources/manifests.h"

#include <utility>

#include "common/document/yaml.h"
#include "common/status.h"

namespace portolan::xds {
namespace {

class ManifestReader {
 public:
  ManifestReader(const std::string& file, absl::Time arrived) : file_(file), arrived_(arrived) {}

  // A document, or an item of a List; `implied` is the kind of items that name none, as in the
  // API's own typed lists (ServiceList).
  struct Implied {
    std::string api_version;
    std::string kind;
  };
  absl::Status Read(const Value& value, const Implied& implied, bool in_list) {
    FieldErrors errors;
    const Field object(value, errors);
    const Field api_version = object["apiVersion"];
    const Field kind = object["kind"];
    Implied type{api_version.String(), kind.String()};
    if (type.kind.empty() && type.api_version.empty()) type = implied;
    if (type.kind.empty()) kind.Fail("is missing");
    if (type.api_version.empty()) api_version.Fail("is missing");
    if (!errors.ok()) return Describe(errors, type.kind, {});
    if (type.kind.ends_with("List")) {
      if (!in_list) return ReadList(object, type, errors);
      kind.Fail("a List within a List");
      return Describe(errors, type.kind, {});
    }
    return ReadObject(object, type, errors);
  }

  Manifests Take() { return std::move(result_); }

 private:
  absl::Status ReadList(const Field& list, const Implied& type, FieldErrors& errors) {
    const std::string item_kind = type.kind.substr(0, type.kind.size() - 4);
    const Implied implied{item_kind.empty() ? "" : type.api_version, item_kind};
    absl::Status status = absl::OkStatus();
    const Field items = list["items"];
    items.ForEachItem([&](const Field& item) {
      if (status.ok()) status = Read(*item.value(), implied, true);
    });
    if (!errors.ok()) return Describe(errors, type.kind, {});
    return status;
  }

  absl::Status ReadObject(const Field& object, const Implied& type, FieldErrors& errors) {
    const KnownKind kind = KindOf(type.api_version, type.kind);
    if (kind == KnownKind::kUnknown) {
      const Field metadata = object["metadata"];
      const Field name = metadata["name"];
      Note(object.line(), fmt::format("{} {} ({}) skipped: no names or endpoints come from it",
                                      type.kind, name.String(), type.api_version));
      return absl::OkStatus();
    }
    const Field metadata = object["metadata"];
    const Field version = metadata["resourceVersion"];
    const Origin origin{absl::Cord(version.String()), arrived_, {}};
    std::vector<Object> converted = ReadObjects(object, kind, origin);
    if (!errors.ok()) return Describe(errors, type.kind, NameOf(object), InNamespaces(kind));
    NoteOddities(object, kind, converted);
    for (Object& one : converted) {
      if (result_.objects.size() >= kMaxManifestObjects) {
        return InvalidArgument("{}: holds more than {} objects", file_, kMaxManifestObjects);
      }
      const ObjectId id = IdOf(one);
      result_.objects.push_back({id, std::move(one), object.line(), object.value()->digest});
    }
    return absl::OkStatus();
  }

  // What the author should know of an object that is valid.
  void NoteOddities(const Field& object, KnownKind kind, const std::vector<Object>& read) {
    if (kind == KnownKind::kEndpointSlice && read.empty()) {
      Note(object.line(),
           fmt::format("EndpointSlice {} skipped: addressType FQDN", NameOf(object).ToString()));
    }
    if (kind == KnownKind::kClusterNetworkPolicy || kind == KnownKind::kAdminNetworkPolicy) {
      NoteRulesOfOthers(object, kind, read);
    }
    if (kind != KnownKind::kService) return;
    const auto& service = std::get<Service>(read.front());
    if (service.cluster_ips.empty() && !service.headless &&
        service.type != ServiceType::kExternalName) {
      Note(object.line(), fmt::format("Service {} has no spec.clusterIP, and a folder of "
                                      "manifests assigns none: its name has no address",
                                      service.name.ToString()));
    }
  }

  void NoteRulesOfOthers(const Field& policy, KnownKind kind, const std::vector<Object>& read) {
    const Field spec = policy["spec"];
    const Field egress = spec["egress"];
    const Field ingress = spec["ingress"];
    size_t rules = 0;
    for (const Field* list : {&egress, &ingress}) {
      list->ForEachItem([&](const Field&) { ++rules; });
    }
    const size_t ours = read.empty() ? 0 : std::get<DnsEgressPolicy>(read.front()).rules.size();
    if (ours == rules) return;
    Note(policy.line(), fmt::format("{} {}: {} of its {} rules are not enforced: they accept no "
                                    "domainNames, or are of tier Baseline",
                                    KindName(kind == KnownKind::kClusterNetworkPolicy
                                                 ? ObjectKind::kClusterNetworkPolicy
                                                 : ObjectKind::kAdminNetworkPolicy),
                                    NameOf(policy).name, rules - ours, rules));
  }

  absl::Status Describe(const FieldErrors& errors, const std::string& kind, const ObjectName& name,
                        bool in_namespace = true) const {
    const FieldError& error = errors.first();
    std::string who = kind;
    if (!name.name.empty()) {
      who += in_namespace ? " " + name.ToString() : " " + name.name;
    }
    if (!who.empty()) who += ": ";
    const std::string field = error.path.empty() ? "" : error.path + ": ";
    return InvalidArgument("{}:{}: {}{}{}", file_, error.line, who, field, error.what);
  }

  void Note(int line, const std::string& what) {
    result_.notes.push_back(fmt::format("{}:{}: {}", file_, line, what));
  }

  const std::string& file_;
  const absl::Time arrived_;
  Manifests result_;
};

}  // namespace

absl::StatusOr<Manifests> ReadManifests(const std::string& file, const std::string& text,
                                        absl::Time arrived) {
  ManifestReader reader(file, arrived);
  absl::Status from_object = absl::OkStatus();
  const absl::Status status = ReadYaml(text, [&](const Value& document, int) {
    from_object = reader.Read(document, {}, false);
    return from_object;
  });
  if (!from_object.ok()) return from_object;
  if (!status.ok()) return InvalidArgument("{}:{}", file, Message(status));
  return reader.Take();
}

}  // namespace portolan::xds
