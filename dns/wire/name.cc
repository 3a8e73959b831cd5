#include "dns/wire/name.h"

#include <algorithm>
#include <cstring>

#include "common/status.h"

namespace portolan::dns::wire {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads the escape at text[at] == '\\' and moves `at` behind it; -1 if it is none.
int ReadEscape(std::string_view text, size_t& at) {
  if (at + 1 >= text.size()) return -1;
  if (!IsDigit(text[at + 1])) {
    const int value = static_cast<uint8_t>(text[at + 1]);
    at += 2;
    return value;
  }
  if (at + 3 >= text.size() || !IsDigit(text[at + 2]) || !IsDigit(text[at + 3])) return -1;
  const int value = (text[at + 1] - '0') * 100 + (text[at + 2] - '0') * 10 + (text[at + 3] - '0');
  if (value > 255) return -1;
  at += 4;
  return value;
}

char* PutEscaped(char* out, uint8_t byte) {
  if (byte == '.' || byte == '\\') {
    *out++ = '\\';
    *out++ = static_cast<char>(byte);
  } else if (byte > 0x20 && byte < 0x7f) {
    *out++ = static_cast<char>(byte);
  } else {
    *out++ = '\\';
    *out++ = static_cast<char>('0' + byte / 100);
    *out++ = static_cast<char>('0' + byte / 10 % 10);
    *out++ = static_cast<char>('0' + byte % 10);
  }
  return out;
}

constexpr std::string_view kBadName = "(bad name)";

}  // namespace

absl::StatusOr<std::string> NameToWire(std::string_view text) {
  if (text == ".") return std::string(1, '\0');
  if (text.empty()) return InvalidArgument("an empty name");
  std::string wire;
  std::string label;
  size_t at = 0;
  bool ended = false;  // behind a dot with nothing after it
  while (at < text.size() || !ended) {
    if (at < text.size() && text[at] != '.') {
      int byte = static_cast<uint8_t>(text[at]);
      if (byte == '\\') {
        byte = ReadEscape(text, at);
        if (byte < 0) return InvalidArgument("'{}' has a bad escape", text);
      } else {
        ++at;
      }
      label += static_cast<char>(byte);
      continue;
    }
    if (label.empty()) return InvalidArgument("'{}' has an empty label", text);
    if (label.size() > kMaxLabelBytes) {
      return InvalidArgument("'{}' has a label of {} bytes; {} are allowed", text, label.size(),
                             kMaxLabelBytes);
    }
    wire += static_cast<char>(label.size());
    wire += label;
    label.clear();
    ++at;
    ended = at >= text.size();
  }
  wire += '\0';
  if (wire.size() > kMaxNameBytes) {
    return InvalidArgument("'{}' takes {} bytes; {} are allowed", text, wire.size(), kMaxNameBytes);
  }
  return wire;
}

std::string NameToText(std::span<const uint8_t> name) {
  std::array<char, kMaxNameTextBytes> text;
  return {text.data(), WriteNameText(name, text)};
}

size_t WriteNameText(std::span<const uint8_t> name, std::span<char> out) {
  if (name.size() == 1 && name[0] == 0) {
    out[0] = '.';
    return 1;
  }
  char* text = out.data();
  size_t at = name.size() > kMaxNameBytes ? name.size() : 0;
  while (at < name.size() && name[at] != 0) {
    const size_t length = name[at];
    if (length > kMaxLabelBytes || at + 1 + length >= name.size()) break;
    for (size_t i = 1; i <= length; ++i) text = PutEscaped(text, name[at + i]);
    *text++ = '.';
    at += 1 + length;
  }
  if (at + 1 == name.size() && name[at] == 0) return static_cast<size_t>(text - out.data());
  return kBadName.copy(out.data(), out.size());
}

void LowerName(std::span<uint8_t> name) {
  for (uint8_t& byte : name) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<uint8_t>(byte | 0x20);
  }
}

void LowerName(std::string& wire) {
  LowerName({reinterpret_cast<uint8_t*>(wire.data()), wire.size()});
}

bool TextBuffer::Append(std::string_view text) {
  if (text.size() > chars.size() - size) return false;
  std::copy(text.begin(), text.end(), chars.begin() + static_cast<ptrdiff_t>(size));
  size += text.size();
  return true;
}

void WriteText(std::span<const uint8_t> name, TextBuffer& out) {
  out.size = 0;
  const auto put = [&](char c) { out.chars[out.size++] = c; };
  if (name[0] == 0) put('.');
  for (size_t at = 0; name[at] != 0; put('.')) {
    for (const size_t end = at + 1 + name[at]; ++at < end;) {
      const uint8_t byte = name[at];
      const bool printable = byte > 0x20 && byte < 0x7f;
      if (!printable || byte == '.' || byte == '\\') put('\\');
      if (printable) {
        put(static_cast<char>(byte));
      } else {
        for (const int unit : {100, 10, 1}) put(static_cast<char>('0' + byte / unit % 10));
      }
    }
  }
}

bool ReadText(std::string_view text, NameBuffer& out) {
  if (text == ".") text = {};
  size_t size = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t begin = size++;
    while (at < text.size() && text[at] != '.') {
      int byte = static_cast<uint8_t>(text[at]);
      if (byte != '\\') {
        ++at;
      } else if ((byte = ReadEscape(text, at)) < 0) {
        return false;
      }
      if (size >= kMaxNameBytes) return false;
      out.bytes[size++] = static_cast<uint8_t>(byte);
    }
    const size_t length = size - begin - 1;
    if (length == 0 || length > kMaxLabelBytes) return false;
    out.bytes[begin] = static_cast<uint8_t>(length);
  }
  if (size >= kMaxNameBytes) return false;
  out.bytes[size++] = 0;
  out.size = static_cast<uint8_t>(size);
  return true;
}

size_t ReadName(std::span<const uint8_t> message, size_t at, NameBuffer& out) {
  size_t end = 0;        // behind the name's own bytes; 0 until the first pointer or the root
  size_t earliest = at;  // a pointer must lead before everything read so far
  size_t size = 0;
  while (at < message.size()) {
    const uint8_t length = message[at];
    if ((length & 0xc0) == 0xc0) {
      if (at + 2 > message.size()) return 0;
      const size_t target = static_cast<size_t>(length & 0x3f) << 8 | message[at + 1];
      if (end == 0) end = at + 2;
      if (target >= earliest) return 0;
      at = earliest = target;
      continue;
    }
    if (length > kMaxLabelBytes) return 0;
    const size_t bytes = size_t{1} + length;
    if (at + bytes > message.size() || size + bytes > kMaxNameBytes) return 0;
    std::memcpy(out.bytes.data() + size, message.data() + at, bytes);
    size += bytes;
    at += bytes;
    if (length == 0) {
      out.size = static_cast<uint8_t>(size);
      return end == 0 ? at : end;
    }
  }
  return 0;
}

size_t SkipName(std::span<const uint8_t> message, size_t at) {
  size_t size = 0;
  while (at < message.size()) {
    const uint8_t length = message[at];
    if ((length & 0xc0) == 0xc0) return at + 2 <= message.size() ? at + 2 : 0;
    if (length > kMaxLabelBytes) return 0;
    at += size_t{1} + length;
    size += size_t{1} + length;
    if (size > kMaxNameBytes) return 0;
    if (length == 0) return at;
  }
  return 0;
}

void SetName(std::span<const uint8_t> name, Query& query) {
  std::copy(name.begin(), name.end(), query.name.begin());
  LowerName(std::span(query.name).first(name.size()));
  query.name_bytes = static_cast<uint8_t>(name.size());
  query.labels = 0;
  for (size_t at = 0; at < name.size(); at += size_t{1} + name[at]) {
    query.label_at[query.labels] = static_cast<uint8_t>(at);
    if (name[at] == 0) break;
    ++query.labels;
  }
}

absl::StatusOr<Zone> Zone::Parse(std::string_view text) {
  absl::StatusOr<std::string> wire = NameToWire(text);
  if (!wire.ok()) return wire.status();
  Zone zone;
  zone.wire = *std::move(wire);
  LowerName(zone.wire);
  zone.text = NameToText(zone.wire);
  for (size_t at = 0; zone.wire[at] != 0; at += size_t{1} + static_cast<uint8_t>(zone.wire[at])) {
    ++zone.labels;
  }
  return zone;
}

}  // namespace portolan::dns::wire
