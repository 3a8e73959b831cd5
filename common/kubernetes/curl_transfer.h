// One request as libcurl carries it: what it is told, what comes back, and why it failed in an
// operator's words. Who drives libcurl is CurlClient. The loop's thread only.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/kubernetes/access.h"
#include "common/kubernetes/api_client.h"

namespace portolan {

class CurlTransfer {
 public:
  // Of the head of an answer, interim ones included.
  static constexpr size_t kMaxHeadBytes = 64u << 10;
  static constexpr absl::Duration kConnectTimeout = absl::Seconds(10);

  // `source` is told when the server does not know us. Both outlive the transfer.
  CurlTransfer(ApiRequest request, ApiClient::Listener& listener, AccessSource& source);
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  // Tells libcurl all of it. REQUIRES: once.
  absl::Status Prepare(AccessPtr access, const std::string& user_agent);
  bool prepared() const { return access_ != nullptr; }

  // The listener hears no more; libcurl is told to give up where it next asks.
  void Silence() { listener_ = nullptr; }
  // The same, and the listener, if it was not silenced.
  ApiClient::Listener* TakeListener() { return std::exchange(listener_, nullptr); }

  CURL* easy() { return easy_.get(); }
  const ApiRequest& request() const { return request_; }
  // 0 before there is one.
  int status() const { return head_given_ ? head_.status : 0; }
  // As Monotonic() has it: when the transfer was made, and when its last byte came.
  absl::Duration made() const { return made_; }
  absl::Duration heard() const { return heard_; }

  // What the listener is told of libcurl's `result`.
  absl::Status Explain(CURLcode result) const;
  // An error that names the server.
  absl::Status Failure(absl::StatusCode code, std::string_view what) const;

 private:
  struct CurlFree {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
  };
  using List = std::unique_ptr<curl_slist, CurlFree>;

  static size_t OnHeaderLine(const char* line, size_t, size_t bytes, void* transfer);
  static size_t OnBody(const char* data, size_t, size_t bytes, void* transfer);
  static void Append(List& list, const std::string& line);

  void SetTls();
  absl::Status SetUrl();
  void SetBody();
  bool TakeHeaderLine(std::string_view line);
  bool GiveHead();
  std::string Reason(CURLcode result) const;
  std::string CertificateFault() const;

  const ApiRequest request_;
  ApiClient::Listener* listener_;
  AccessSource& source_;
  AccessPtr access_;
  const absl::Duration made_;
  absl::Duration heard_;

  std::unique_ptr<CURL, CurlFree> easy_;
  List headers_;
  List connect_to_;
  char said_[CURL_ERROR_SIZE] = {};  // by libcurl, of an error

  ApiResponseHead head_;
  size_t head_bytes_ = 0;
  bool head_given_ = false;
  std::string fault_;  // why we gave it up ourselves
};

}  // namespace portolan
