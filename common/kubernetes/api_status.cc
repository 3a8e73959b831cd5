#include "common/kubernetes/api_status.h"

#include <algorithm>
#include <utility>

namespace portolan {
namespace {

constexpr size_t kMaxMessageBytes = 300;

// Text of a server, fit for a line of the log.
std::string OneLine(std::string text) {
  text.resize(std::min(text.size(), kMaxMessageBytes));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

ApiStatus ReadApiStatus(const Value& status) {
  FieldErrors errors;
  const Field root(status, errors);
  const Field code = root["code"];
  const Field reason = root["reason"];
  const Field message = root["message"];
  return {static_cast<int>(std::clamp<int64_t>(code.Int(0), 0, 999)), OneLine(reason.String()),
          OneLine(message.String())};
}

ApiStatus ReadApiStatus(JsonReader& reader, int code, std::string body) {
  static const std::vector<WantedField> kWanted = {{"kind"}, {"code"}, {"reason"}, {"message"}};
  ApiStatus result;
  const auto value = reader.Read(body, kWanted);
  if (value.ok() && (*value)->kind == Value::Kind::kMap) {
    result = ReadApiStatus(**value);
  } else {
    result.message = OneLine(std::move(body));
  }
  result.code = code;
  return result;
}

}  // namespace portolan
