// Requests to portolan-control's API, or to a sidecar's admin interface, by libcurl. Ctrl-C ends
// them where the command has asked for it (interrupt.h). One thread.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace portolan::ctl {

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDeleter>;
using CurlHeaders = std::unique_ptr<curl_slist, CurlDeleter>;

class Client {
 public:
  // Who is asked, for errors that say what to do next.
  enum class Peer : uint8_t { kControlPlane, kSidecar };
  struct Options {
    std::string server;  // "http://127.0.0.1:15080"
    Peer peer = Peer::kControlPlane;
    absl::Duration timeout = absl::Seconds(10);
    size_t max_bytes = 64 * 1024 * 1024;  // of an answer
    std::string token = {};               // shown as a bearer token; empty: none
    std::string ca_file = {};             // PEM of the CAs of an https server; empty: the system's

    friend bool operator==(const Options&, const Options&) = default;
  };

  explicit Client(Options options);
  const Options& options() const { return options_; }

  // `path` begins with "/". Errors say what to do next. No redirects are followed and no proxy is
  // asked: the server named is the one that answers.
  absl::StatusOr<nlohmann::json> Get(const std::string& path);
  // The same with POST and an empty body, for what changes something.
  absl::StatusOr<nlohmann::json> Post(const std::string& path);

  // All pages of a listing: `path` is asked for until an answer has no "continue"; gives the last
  // answer with the entries of all pages under `key`.
  absl::StatusOr<nlohmann::json> GetAll(const std::string& path, const std::string& key);

 private:
  enum class Method : uint8_t { kGet, kPost };
  absl::StatusOr<nlohmann::json> Request(Method method, const std::string& path);

  const Options options_;
  CurlHandle curl_;  // keeps its connection
};

// Sets what every request to `path` of options.server needs. An error says what is wrong with the
// options: a token is sent over https or to this machine alone. What stands in `options` is to
// outlive the request; `headers` is its own.
absl::Status SetUp(CURL* curl, const Client::Options& options, const std::string& path,
                   CurlHeaders& headers);

// Percent-encodes a query parameter's value, or a segment of a path.
std::string EncodeQuery(const std::string& text);

}  // namespace portolan::ctl
