#include "common/http/message.h"

#include <algorithm>

namespace portolan::http {
namespace {

constexpr std::pair<int, std::string_view> kPhrases[] = {
    {100, "Continue"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

std::string SafeValue(std::string_view value) {
  std::string safe(value);
  const auto is_control = [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  };
  std::replace_if(safe.begin(), safe.end(), is_control, ' ');
  return safe;
}

}  // namespace

std::optional<std::string_view> Request::FindHeader(std::string_view name) const {
  for (const Header& header : headers) {
    if (header.name == name) return header.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> Request::FindQuery(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Response TextResponse(int status, std::string_view line) {
  Response response;
  response.status = status;
  response.body.reserve(line.size() + 1);
  response.body.append(line).push_back('\n');
  return response;
}

bool HasNoBody(int status) { return status < 200 || status == 204 || status == 304; }

std::vector<Header> StreamFieldsOf(const Response& head, absl::Time now) {
  std::vector<Header> fields = {
      {"Date", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now, absl::UTCTimeZone())},
      {"X-Content-Type-Options", "nosniff"}};
  for (const Header& header : head.headers) {
    fields.push_back({header.name, SafeValue(header.value)});
  }
  if (!HasNoBody(head.status)) {
    fields.push_back({"Content-Type", SafeValue(head.content_type)});
  }
  return fields;
}

std::vector<Header> FieldsOf(const Response& response, absl::Time now) {
  std::vector<Header> fields = StreamFieldsOf(response, now);
  if (!HasNoBody(response.status)) {
    fields.push_back({"Content-Length", std::to_string(response.body.size())});
  }
  return fields;
}

std::string_view ReasonPhrase(int status) {
  for (const auto& [code, phrase] : kPhrases) {
    if (code == status) return phrase;
  }
  return "Unknown";
}

}  // namespace portolan::http
