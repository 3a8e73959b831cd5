// Requests to portolan-control's API, or to a sidecar's admin interface, by libcurl. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan::ctl {

class Client {
 public:
  // Who is asked, for errors that say what to do next.
  enum class Peer : uint8_t { kControlPlane, kSidecar };
  struct Options {
    std::string server;  // "http://127.0.0.1:15080"
    Peer peer = Peer::kControlPlane;
    absl::Duration timeout = absl::Seconds(10);
    size_t max_bytes = 64 * 1024 * 1024;  // of an answer
  };

  explicit Client(Options options) : options_(std::move(options)) {}

  // `path` begins with "/". Errors say what to do next. No redirects are followed and no proxy is
  // asked: the server named is the one that answers.
  absl::StatusOr<nlohmann::json> Get(const std::string& path) const;
  // The same with POST and an empty body, for what changes something.
  absl::StatusOr<nlohmann::json> Post(const std::string& path) const;

  // All pages of a listing: `path` is asked for until an answer has no "continue"; gives the last
  // answer with the entries of all pages under `key`.
  absl::StatusOr<nlohmann::json> GetAll(const std::string& path, const std::string& key) const;

 private:
  enum class Method : uint8_t { kGet, kPost };
  absl::StatusOr<nlohmann::json> Request(Method method, const std::string& path) const;

  const Options options_;
};

// Percent-encodes a query parameter's value, or a segment of a path.
std::string EncodeQuery(const std::string& text);

}  // namespace portolan::ctl
