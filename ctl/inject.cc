#include "ctl/inject.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/status.h"
#include "common/string_map.h"
#include "ctl/manifest.h"
#include "ctl/pod_template_kinds.h"
#include "ctl/value_json.h"
#include "injector/injection.h"
#include "injector/names.h"

namespace portolan::ctl {
namespace {

using injector::Json;
using injector::Pod;
using injector::TextAt;

constexpr std::string_view kOwnNamespace = "portolan-system";
constexpr int kMaxLists = 4;  // Lists in Lists

std::string_view TextOf(const Json& object, std::string_view map, std::string_view field) {
  return TextAt(Pod::Find(object, map), field);
}

// visit(object, pointer) for the object at `pointer`, or each of those in a List there.
template <typename F>
absl::Status ForEachObject(const Json& object, const std::string& pointer, int depth, F&& visit) {
  const Json* items = Pod::Find(object, "items");
  if (!TextAt(&object, "kind").ends_with("List") || items == nullptr || !items->is_array()) {
    return visit(object, pointer);
  }
  if (depth == kMaxLists) return InvalidArgument("Lists in Lists, more than {} deep", kMaxLists);
  for (size_t i = 0; i < items->size(); ++i) {
    const std::string at = fmt::format("{}/items/{}", pointer, i);
    if (auto status = ForEachObject((*items)[i], at, depth + 1, visit); !status.ok()) return status;
  }
  return absl::OkStatus();
}

class Injector {
 public:
  Injector(const injector::Template& settings, const std::string& name_space)
      : settings_(settings), name_space_(name_space) {}

  void LearnNamespace(const Json& object) {
    if (TextAt(&object, "kind") != "Namespace") return;
    const Json* metadata = Pod::Find(object, "metadata");
    const Json* labels = metadata == nullptr ? nullptr : Pod::Find(*metadata, "labels");
    opted_in_[std::string(TextAt(metadata, "name"))] =
        TextAt(labels, injector::kInject) == "enabled";
  }

  // What is to be added to `object`, paths from its pod template; nothing if it has none.
  std::optional<Json> PatchOf(const Json& object, std::string_view pointer, int line) {
    const Json::json_pointer path{std::string(pointer)};
    const std::string_view stated = TextOf(object, "metadata", "namespace");
    const std::string name_space = stated.empty() ? name_space_ : std::string(stated);
    const std::string who =
        fmt::format("{} {}/{}", TextAt(&object, "kind"), name_space, NameOf(object));
    if (!object.contains(path)) return Refuse(line, who, "it has no pod template");
    const Json& pod = object.at(path);
    if (!IsOptedIn(pod, name_space)) {
      result_.notes.push_back(fmt::format("{}: opted-out: its Namespace has no label {}: enabled",
                                          who, injector::kInject));
      return std::nullopt;
    }
    auto injection = injector::Inject(pod, name_space, settings_, {}, kOwnNamespace);
    if (!injection.ok()) return Refuse(line, who, Message(injection.status()));
    if (Denied(injection->outcome)) return Refuse(line, who, injection->detail);
    result_.notes.push_back(fmt::format("{}: {}{}{}", who, Name(injection->outcome),
                                        injection->detail.empty() ? "" : ": ", injection->detail));
    for (const std::string& warning : injection->warnings) {
      result_.notes.push_back(fmt::format("{}: {}", who, warning));
    }
    return std::move(injection->patch);
  }

  InjectedManifest Take() { return std::move(result_); }
  void Write(std::string_view text) { result_.text += text; }

 private:
  static std::string NameOf(const Json& object) {
    const std::string_view name = TextOf(object, "metadata", "name");
    if (!name.empty()) return std::string(name);
    return fmt::format("{}*", TextOf(object, "metadata", "generateName"));
  }

  bool IsOptedIn(const Json& pod, const std::string& name_space) const {
    const auto known = opted_in_.find(name_space);
    if (known == opted_in_.end() || known->second) return true;
    const Json* metadata = Pod::Find(pod, "metadata");
    for (const std::string_view map : {"labels", "annotations"}) {
      const Json* said = metadata == nullptr ? nullptr : Pod::Find(*metadata, map);
      // What it says is for the injector to judge.
      if (!TextAt(said, injector::kInject).empty()) return true;
    }
    return false;
  }

  std::nullopt_t Refuse(int line, const std::string& who, std::string_view why) {
    result_.denials.push_back(fmt::format("{}: {}: {}", line, who, why));
    return std::nullopt;
  }

  const injector::Template& settings_;
  const std::string& name_space_;
  StringMap<bool> opted_in_;  // Namespaces of the file
  InjectedManifest result_;
};

// JSON values do not know theirs.
int LineOf(const ManifestDocument& document) {
  return document.lines_before + std::max(document.value->line, 1);
}

absl::Status InjectDocument(const Manifest& manifest, const ManifestDocument& document,
                            Injector& injector) {
  if (document.value == nullptr) {
    injector.Write(document.text);
    return absl::OkStatus();
  }
  const int line = LineOf(document);
  ValuePtr changed = document.value;
  const Json root = ToJson<Json>(*document.value);
  const absl::Status status =
      ForEachObject(root, "", 0, [&](const Json& object, const std::string& at) {
        const PodTemplateKind* kind = FindPodTemplateKind(TextAt(&object, "kind"));
        if (kind == nullptr) return absl::OkStatus();
        const auto patch = injector.PatchOf(object, kind->pointer, line);
        if (!patch.has_value() || patch->empty()) return absl::OkStatus();
        auto added = Added(changed, at + std::string(kind->pointer), *patch);
        if (!added.ok()) return added.status();
        changed = *std::move(added);
        return absl::OkStatus();
      });
  if (!status.ok()) return InvalidArgument("{}: {}", line, Message(status));
  if (changed == document.value) {
    injector.Write(document.text);
    return absl::OkStatus();
  }
  auto text = Rewritten(manifest, document, *changed);
  if (text.ok()) injector.Write(*text);
  return text.status();
}

}  // namespace

absl::StatusOr<InjectedManifest> InjectManifest(const std::string& text,
                                                const injector::Template& settings,
                                                const std::string& name_space) {
  const auto manifest = ReadManifest(text);
  if (!manifest.ok()) return manifest.status();
  Injector injector(settings, name_space);
  for (const ManifestDocument& document : manifest->documents) {
    if (document.value == nullptr) continue;
    const absl::Status status = ForEachObject(ToJson<Json>(*document.value), "", 0,
                                              [&](const Json& object, const std::string&) {
                                                injector.LearnNamespace(object);
                                                return absl::OkStatus();
                                              });
    if (!status.ok()) return InvalidArgument("{}: {}", LineOf(document), Message(status));
  }
  for (const ManifestDocument& document : manifest->documents) {
    absl::Status status = InjectDocument(*manifest, document, injector);
    if (!status.ok()) return status;
  }
  return injector.Take();
}

}  // namespace portolan::ctl
