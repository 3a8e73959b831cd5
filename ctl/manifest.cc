#include "ctl/manifest.h"

#include <yaml-cpp/emitter.h>

#include <algorithm>
#include <iostream>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/document/json.h"
#include "common/document/yaml.h"
#include "common/files.h"
#include "common/status.h"
#include "ctl/value_json.h"

namespace portolan::ctl {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view LineAt(std::string_view text, size_t at) {
  return text.substr(at, std::min(text.find('\n', at), text.size() - 1) + 1 - at);
}

bool BeginsDocument(std::string_view line) {
  return line.starts_with("---") && (line.size() == 3 || kBlanks.find(line[3]) != kBlanks.npos);
}

bool IsBlankOrComment(std::string_view line) {
  const size_t first = line.find_first_not_of(kBlanks);
  return first == line.npos || line[first] == '#';
}

std::vector<ManifestDocument> Split(std::string_view text) {
  std::vector<ManifestDocument> documents(1);
  int line_number = 0;
  for (size_t at = 0; at < text.size(); ++line_number) {
    const std::string_view line = LineAt(text, at);
    if (BeginsDocument(line) && !documents.back().text.empty()) {
      documents.push_back({{}, nullptr, line_number});
    }
    documents.back().text += line;
    at += line.size();
  }
  return documents;
}

// "12: what" of a document that begins after `lines` lines of the file.
absl::Status Moved(const absl::Status& status, int lines) {
  const std::string_view message = Message(status);
  const size_t colon = std::min(message.find(':'), message.size());
  const int line = std::atoi(std::string(message.substr(0, colon)).c_str());
  return InvalidArgument("{}{}", line + lines, message.substr(colon));
}

absl::StatusOr<Manifest> ReadYamlManifest(const std::string& text) {
  Manifest manifest{.json = false, .documents = Split(text)};
  for (ManifestDocument& document : manifest.documents) {
    const absl::Status read = ReadYaml(document.text, [&](const Value& value, int) {
      if (document.value != nullptr) {
        return InvalidArgument("{}: a second document without --- before it", value.line);
      }
      document.value = std::make_shared<const Value>(value);
      return absl::OkStatus();
    });
    if (!read.ok()) return Moved(read, document.lines_before);
  }
  return manifest;
}

// JSON objects one behind the other, as kubectl takes them; each with the blanks behind it.
std::vector<ManifestDocument> SplitJson(std::string_view text) {
  std::vector<ManifestDocument> documents(1);
  int depth = 0;
  int lines = 0;
  bool whole = false;
  bool in_string = false;
  bool escaped = false;
  for (const char c : text) {
    if (whole && kBlanks.find(c) == kBlanks.npos) {
      documents.push_back({{}, nullptr, lines});
      whole = false;
    }
    documents.back().text += c;
    lines += c == '\n' ? 1 : 0;
    if (in_string) {
      in_string = escaped || c != '"';
      escaped = !escaped && c == '\\';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      whole = --depth == 0;
    }
  }
  return documents;
}

absl::StatusOr<Manifest> ReadJsonManifest(const std::string& text) {
  JsonReader reader;
  Manifest manifest{.json = true, .documents = SplitJson(text)};
  for (ManifestDocument& document : manifest.documents) {
    std::string copy = document.text;
    auto value = reader.Read(copy, {});
    if (!value.ok()) return value.status();
    document.value = *std::move(value);
  }
  return manifest;
}

// Text that `|` gives back as it was: whole lines, and nothing that wants an escape.
bool IsBlockText(std::string_view text, Letters letters) {
  if (!text.ends_with('\n') || text.ends_with("\n\n") || kBlanks.find(text[0]) != kBlanks.npos) {
    return false;
  }
  return std::none_of(text.begin(), text.end(), [&](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\n') || byte == 0x7f || (letters == Letters::kAscii && byte > 0x7f);
  });
}

void Emit(YAML::Emitter& out, const Value& value, Letters letters) {
  switch (value.kind) {
    case Value::Kind::kNull:
      out << YAML::Null;
      return;
    case Value::Kind::kPlain:
      out << value.text;
      return;
    case Value::Kind::kText:
      if (IsBlockText(value.text, letters)) {
        out << YAML::Literal << value.text;
      } else {
        out << YAML::DoubleQuoted << value.text;
      }
      return;
    case Value::Kind::kSequence:
      if (value.items.empty()) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const ValuePtr& item : value.items) Emit(out, *item, letters);
      out << YAML::EndSeq;
      return;
    case Value::Kind::kMap:
      if (value.fields.empty()) out << YAML::Flow;
      out << YAML::BeginMap;
      for (const auto& [key, child] : value.fields) {
        // A key that was quoted has lost that; one that would be another kind gets it back.
        out << YAML::Key;
        Emit(out, *TextValue(key), letters);
        out << YAML::Value;
        Emit(out, *child, letters);
      }
      out << YAML::EndMap;
      return;
  }
}

bool Same(const Value& a, const Value& b) {
  const auto same_item = [](const ValuePtr& x, const ValuePtr& y) { return Same(*x, *y); };
  const auto same_field = [](const auto& x, const auto& y) {
    return x.first == y.first && Same(*x.second, *y.second);
  };
  const bool scalars = a.items.empty() && a.fields.empty() && b.items.empty() && b.fields.empty();
  if (scalars && ToJson<nlohmann::json>(a) != ToJson<nlohmann::json>(b)) return false;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same_item) &&
         std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(), same_field);
}

// "---" and the comments above the object.
std::string Head(std::string_view text) {
  size_t at = 0;
  if (!text.empty() && BeginsDocument(LineAt(text, 0))) at = LineAt(text, 0).size();
  std::string head(text.substr(0, at));
  if (!IsBlankOrComment(std::string_view(head).substr(std::min<size_t>(3, head.size())))) {
    return "---\n";  // the object begins on that line
  }
  while (at < text.size() && IsBlankOrComment(LineAt(text, at))) {
    head += LineAt(text, at);
    at += LineAt(text, at).size();
  }
  return head;
}

absl::StatusOr<std::string> RewrittenYaml(const ManifestDocument& document, const Value& changed) {
  std::string text = Head(document.text) + YamlOf(changed, Letters::kAll) + "\n";
  // Another YAML than was meant must not reach a cluster.
  bool same = false;
  const absl::Status read = ReadYaml(text, [&](const Value& value, int) {
    same = Same(value, changed);
    return absl::OkStatus();
  });
  if (!read.ok() || !same) {
    return FailedPrecondition("{}: this YAML cannot be written back as it was read; use JSON",
                              document.lines_before + 1);
  }
  return text;
}

// Of the first line that is indented; -1: all is on one line.
int IndentOf(std::string_view json) {
  const size_t line = json.find('\n');
  if (line == json.npos) return -1;
  const size_t first = json.find_first_not_of(' ', line + 1);
  return first == json.npos ? -1 : static_cast<int>(std::min<size_t>(first - line - 1, 8));
}

}  // namespace

std::string YamlOf(const Value& value, Letters letters) {
  YAML::Emitter out;
  if (letters == Letters::kAscii) out.SetOutputCharset(YAML::EscapeNonAscii);
  Emit(out, value, letters);
  return out.c_str();
}

absl::StatusOr<std::string> ReadManifestText(const std::string& file) {
  if (file != "-") return ReadFile(file, kMaxManifestBytes);
  std::string text;
  char buffer[1 << 16];
  while (std::cin.read(buffer, sizeof buffer), std::cin.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > kMaxManifestBytes) break;
  }
  return text;
}

absl::StatusOr<Manifest> ReadManifest(const std::string& text) {
  if (text.size() > kMaxManifestBytes) {
    return InvalidArgument("1: {} bytes; at most {} are read", text.size(), kMaxManifestBytes);
  }
  auto json = ReadJsonManifest(text);
  return json.ok() ? std::move(json) : ReadYamlManifest(text);
}

absl::StatusOr<std::string> Rewritten(const Manifest& manifest, const ManifestDocument& document,
                                      const Value& changed) {
  if (!manifest.json) return RewrittenYaml(document, changed);
  return ToJson<nlohmann::ordered_json>(changed).dump(IndentOf(document.text)) + "\n";
}

}  // namespace portolan::ctl
