// A request as handlers see it and the answer they give, whatever version of HTTP carried them.
//
// Values; any thread. All of a request came from the peer: it is bounded (limits.h) and well formed
// (RFC 9110, RFC 3986), but no more to be trusted than that.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace portolan::http {

struct Header {
  std::string name;
  std::string value;
  friend bool operator==(const Header&, const Header&) = default;
};

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  // "GET", as sent: methods are case-sensitive
  // Percent-decoded; begins with "/", holds no NUL and no "." or ".." segment.
  std::string path;
  QueryParameters query;  // percent-decoded, "+" is a space; in the order sent
  std::string host;       // Host field or authority of the target, with its port; may be empty
  std::vector<Header> headers;  // names in lower case, values without outer white space
  std::string body;

  // The first field of that name (lower case), or nothing.
  std::optional<std::string_view> FindHeader(std::string_view name) const;
  // The first parameter of that name, or nothing.
  std::optional<std::string_view> FindQuery(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  // Beyond Content-Type, Content-Length, Date, Connection and the security fields, which the server
  // writes. Control characters in a value are replaced by spaces.
  std::vector<Header> headers;
  std::string body;
};

// One line of text; a newline is added.
Response TextResponse(int status, std::string_view line);

// The fields of an answer but those that are of the connection (RFC 9110 6.6), as they are written.
std::vector<Header> FieldsOf(const Response& response, absl::Time now);
// Of an answer whose length is not known yet.
std::vector<Header> StreamFieldsOf(const Response& head, absl::Time now);

// Neither a body nor fields that tell of one.
bool HasNoBody(int status);

// "Not Found"; "Unknown" for a status without a phrase here.
std::string_view ReasonPhrase(int status);

}  // namespace portolan::http
