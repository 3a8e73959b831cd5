// Any text, up to the first NUL, is a Go template or an error; filled in for the name behind it, it
// fits its room or fails.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "dns/plugins/go_template.h"

using portolan::dns::GoTemplate;
using portolan::dns::NamePattern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto kFile = std::make_shared<const std::string>("Corefile");
  static const std::vector<NamePattern> kPatterns = [] {
    std::vector<NamePattern> patterns;
    patterns.push_back(*NamePattern::Compile({"^(?P<a>[^.]*)-(?P<b>[^.]*)?[.]", kFile, 1, 1}));
    return patterns;
  }();
  const std::string all(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(all.find('\0'), size);
  const auto parsed = GoTemplate::Parse({all.substr(0, end), kFile, 1, 1}, kPatterns);
  if (!parsed.ok()) return 0;
  const std::string name = all.substr(std::min(end + 1, size));
  portolan::dns::TemplateData of_question;
  of_question.name = of_question.question_name = name;
  of_question.zone = "example.";
  of_question.rclass = "IN";
  of_question.type = "A";
  of_question.remote = "10.42.0.9";
  of_question.groups[0] = name;
  if (kPatterns[0].Match(name, kPatterns[0].groups(), of_question.groups)) {
    of_question.pattern = &kPatterns[0];
  }
  std::array<char, 512> room;
  const auto rendered = parsed->Render(of_question, room);
  if (!rendered.has_value()) return 0;
  const bool inside = rendered->data() == room.data() && rendered->size() < room.size();
  if (!inside || room[rendered->size()] != '\0') std::abort();
  return 0;
}
