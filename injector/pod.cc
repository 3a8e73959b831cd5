#include "injector/pod.h"

#include <array>

#include "common/status.h"

namespace portolan::injector {
namespace {

constexpr std::array<std::string_view, 3> kContainerLists = {"containers", "initContainers",
                                                             "ephemeralContainers"};

absl::Status Expect(bool good, std::string_view field, std::string_view what) {
  return good ? absl::OkStatus() : InvalidArgument("{} is not {}", field, what);
}

absl::Status ExpectMap(const Json* json, std::string_view field) {
  return Expect(json == nullptr || json->is_object(), field, "an object");
}

absl::Status ExpectTexts(const Json* json, std::string_view field) {
  if (auto status = ExpectMap(json, field); !status.ok() || json == nullptr) return status;
  for (const auto& value : *json) {
    if (!value.is_string()) return InvalidArgument("{} holds what is no string", field);
  }
  return absl::OkStatus();
}

absl::Status ExpectMaps(const Json* json, std::string_view field) {
  if (json == nullptr) return absl::OkStatus();
  if (!json->is_array()) return InvalidArgument("{} is not a list", field);
  for (const auto& item : *json) {
    if (!item.is_object()) return InvalidArgument("{} holds what is no object", field);
  }
  return absl::OkStatus();
}

absl::Status CheckContainer(const Json& container) {
  for (const std::string_view list : {"ports", "env", "volumeMounts"}) {
    if (auto status = ExpectMaps(Pod::Find(container, list), list); !status.ok()) return status;
  }
  return ExpectMap(Pod::Find(container, "securityContext"), "securityContext");
}

}  // namespace

const Json* Pod::Find(const Json& json, std::string_view field) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(field);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<Pod> Pod::From(const Json& json) {
  Pod pod;
  pod.metadata_ = Find(json, "metadata");
  pod.spec_ = Find(json, "spec");
  if (auto status = Expect(json.is_object(), "object", "a pod"); !status.ok()) return status;
  if (auto status = ExpectMap(pod.metadata_, "metadata"); !status.ok()) return status;
  if (pod.spec_ == nullptr || !pod.spec_->is_object()) return InvalidArgument("it has no spec");
  if (pod.metadata_ != nullptr) {
    pod.annotations_ = Find(*pod.metadata_, "annotations");
    pod.labels_ = Find(*pod.metadata_, "labels");
  }
  for (const auto& status : {ExpectTexts(pod.annotations_, "metadata.annotations"),
                             ExpectTexts(pod.labels_, "metadata.labels"),
                             ExpectMaps(pod.Spec("volumes"), "spec.volumes"),
                             ExpectMaps(pod.Spec("imagePullSecrets"), "spec.imagePullSecrets"),
                             ExpectMap(pod.Spec("securityContext"), "spec.securityContext"),
                             ExpectMap(pod.Spec("nodeSelector"), "spec.nodeSelector"),
                             ExpectMap(pod.Spec("os"), "spec.os")}) {
    if (!status.ok()) return status;
  }
  for (const std::string_view list : kContainerLists) {
    const Json* items = pod.Spec(list);
    if (auto status = ExpectMaps(items, list); !status.ok()) return status;
    if (items == nullptr) continue;
    for (const Json& item : *items) {
      if (auto status = CheckContainer(item); !status.ok()) return status;
      const size_t index = static_cast<size_t>(&item - &items->front());
      pod.containers_.push_back({list, index, TextAt(&item, "name"), &item});
    }
  }
  if (pod.Spec("containers") == nullptr) return InvalidArgument("it has no containers");
  return pod;
}

const Json* Pod::Spec(std::string_view field) const { return Find(*spec_, field); }

std::string_view Pod::SpecText(std::string_view field) const { return TextAt(spec_, field); }

const std::string* Pod::Annotation(std::string_view name) const {
  const Json* value = annotations_ == nullptr ? nullptr : Find(*annotations_, name);
  return value == nullptr ? nullptr : value->get_ptr<const std::string*>();
}

const std::string* Pod::Label(std::string_view name) const {
  const Json* value = labels_ == nullptr ? nullptr : Find(*labels_, name);
  return value == nullptr ? nullptr : value->get_ptr<const std::string*>();
}

const Container* Pod::FindContainer(std::string_view list, std::string_view name) const {
  for (const Container& container : containers_) {
    if (container.list == list && container.name == name) return &container;
  }
  return nullptr;
}

bool Pod::Has(std::string_view list, std::string_view name) const {
  const Json* items = Spec(list);
  if (items == nullptr) return false;
  for (const Json& item : *items) {
    if (TextAt(&item, "name") == name) return true;
  }
  return false;
}

std::optional<int64_t> NumberAt(const Json* json, std::string_view field) {
  const Json* value = json == nullptr ? nullptr : Pod::Find(*json, field);
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  return value->get<int64_t>();
}

std::string_view TextAt(const Json* json, std::string_view field) {
  const Json* value = json == nullptr ? nullptr : Pod::Find(*json, field);
  const auto* text = value == nullptr ? nullptr : value->get_ptr<const std::string*>();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

}  // namespace portolan::injector
