#include "xds/serving/export_to.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "common/log.h"
#include "xds/sources/names.h"

namespace portolan::xds {
namespace {

constexpr std::string_view kAnnotation = "portolan.dev/export-to";
constexpr std::string_view kAll = "*";
constexpr std::string_view kOwn = ".";

const std::string* FindAnnotation(const LabelMap& annotations) {
  for (const auto& [key, value] : annotations) {
    if (key == kAnnotation) return &value;
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<const ExportTo> ExportTo::Of(const Service& service, const Namespace* ns) {
  const std::string* text = FindAnnotation(service.extras->annotations);
  if (text == nullptr && ns != nullptr) text = FindAnnotation(ns->annotations);
  if (text == nullptr) return nullptr;

  auto exported = std::make_shared<ExportTo>();
  exported->namespaces_.push_back(service.name.ns);
  for (const absl::string_view piece : absl::StrSplit(*text, ',')) {
    const absl::string_view stripped = absl::StripAsciiWhitespace(piece);
    const std::string entry(stripped.data(), stripped.size());
    if (entry == kAll) return nullptr;
    if (entry == kOwn) continue;
    if (IsLabel(entry)) {
      exported->namespaces_.push_back(entry);
    } else {
      log::warn("Service {}: {}: '{}' is no namespace, '.' or '*'", service.name.ToString(),
                kAnnotation, entry.substr(0, 64));
    }
  }
  std::sort(exported->namespaces_.begin(), exported->namespaces_.end());
  return exported;
}

bool ExportTo::Allows(std::string_view viewer) const {
  return std::binary_search(namespaces_.begin(), namespaces_.end(), viewer);
}

}  // namespace portolan::xds
