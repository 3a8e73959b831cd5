#include "common/kubernetes/api_status.h"

#include <algorithm>
#include <utility>

#include "common/text.h"

namespace portolan {
namespace {

constexpr size_t kMaxMessageBytes = 300;

}  // namespace

ApiStatus ReadApiStatus(const Value& status) {
  FieldErrors errors;
  const Field root(status, errors);
  const Field code = root["code"];
  const Field reason = root["reason"];
  const Field message = root["message"];
  return {static_cast<int>(std::clamp<int64_t>(code.Int(0), 0, 999)),
          OneLine(reason.String(), kMaxMessageBytes), OneLine(message.String(), kMaxMessageBytes)};
}

ApiStatus ReadApiStatus(JsonReader& reader, int code, std::string body) {
  static const std::vector<WantedField> kWanted = {{"kind"}, {"code"}, {"reason"}, {"message"}};
  ApiStatus result;
  const auto value = reader.Read(body, kWanted);
  if (value.ok() && (*value)->kind == Value::Kind::kMap) {
    result = ReadApiStatus(**value);
  } else {
    result.message = OneLine(body, kMaxMessageBytes);
  }
  result.code = code;
  return result;
}

}  // namespace portolan
