// A pod, or the template of one, as JSON that may hold anything: its shape is checked once, so that
// the rest of the room reads it without looking twice.
//
// Any thread. Nothing is thrown: nlohmann's accessors that could are not used on what came in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"

namespace portolan::injector {

using Json = nlohmann::json;

struct Container {
  std::string_view list;  // the field of spec that it stands in: "initContainers"
  size_t index = 0;
  std::string_view name;
  const Json* json = nullptr;
};

class Pod {
 public:
  // An error names the field that is not what the API has there. `json` outlives the Pod.
  static absl::StatusOr<Pod> From(const Json& json);

  // A field of spec, or of what `json` is: nullptr where it is absent or null.
  const Json* Spec(std::string_view field) const;
  std::string_view SpecText(std::string_view field) const;  // empty where it is no string
  static const Json* Find(const Json& json, std::string_view field);

  bool has_metadata() const { return metadata_ != nullptr; }
  bool has_annotations() const { return annotations_ != nullptr; }
  const std::string* Annotation(std::string_view name) const;
  const std::string* Label(std::string_view name) const;
  // visit(const std::string& name, const std::string& value)
  template <typename F>
  void ForEachAnnotation(F&& visit) const {
    if (annotations_ == nullptr) return;
    for (const auto& [name, value] : annotations_->items()) {
      visit(name, value.template get_ref<const std::string&>());
    }
  }

  // Of all three lists, in this order: containers, initContainers, ephemeralContainers.
  const std::vector<Container>& containers() const { return containers_; }
  const Container* FindContainer(std::string_view list, std::string_view name) const;
  // An item of a list of spec (volumes, imagePullSecrets) by its name.
  bool Has(std::string_view list, std::string_view name) const;

 private:
  const Json* metadata_ = nullptr;
  const Json* annotations_ = nullptr;
  const Json* labels_ = nullptr;
  const Json* spec_ = nullptr;
  std::vector<Container> containers_;
};

// Nothing where it is absent or no whole number.
std::optional<int64_t> NumberAt(const Json* json, std::string_view field);
// Empty where it is absent or no string.
std::string_view TextAt(const Json* json, std::string_view field);

}  // namespace portolan::injector
