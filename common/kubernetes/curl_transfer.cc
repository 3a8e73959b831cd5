#include "common/kubernetes/curl_transfer.h"

#include <openssl/x509_vfy.h>

#include <charconv>
#include <cstring>
#include <utility>

#include "common/monotonic.h"
#include "common/status.h"
#include "common/text.h"

namespace portolan {
namespace {

constexpr long kReceiveBufferBytes = 128 << 10;

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// RFC 9110, 10.2.3. The form that is a date is not what API servers send.
std::optional<absl::Duration> RetryAfter(std::string_view value) {
  uint32_t seconds = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || stop != value.data() + value.size()) return std::nullopt;
  return absl::Seconds(seconds);
}

// libcurl refers to the bytes: they live as long as the handle.
curl_blob BlobOf(const std::string& bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size(), CURL_BLOB_NOCOPY};
}

}  // namespace

CurlTransfer::CurlTransfer(ApiRequest request, ApiClient::Listener& listener, AccessSource& source)
    : request_(std::move(request)),
      listener_(&listener),
      source_(source),
      made_(Monotonic()),
      heard_(made_),
      easy_(curl_easy_init()) {}

absl::Status CurlTransfer::Prepare(AccessPtr access, const std::string& user_agent) {
  access_ = std::move(access);
  if (easy_ == nullptr) return absl::InternalError("libcurl cannot be started");
  CURL* const easy = easy_.get();
  if (absl::Status status = SetUrl(); !status.ok()) return status;
  SetTls();
  SetBody();
  Append(headers_, "Accept: application/json");
  if (!access_->authorization.empty()) {
    Append(headers_, "Authorization: " + access_->authorization);
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
  curl_easy_setopt(easy, CURLOPT_USERAGENT, user_agent.c_str());
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // While the first connection is made nobody knows whether others may share it: wait and see. In
  // plaintext none may, and libcurl would wait for the end of the first watch.
  curl_easy_setopt(easy, CURLOPT_PIPEWAIT, access_->server.starts_with("https:") ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(kConnectTimeout)));
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // A transfer that is given up does not wait for the thread that resolves its name.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  if (!access_->proxy.empty()) curl_easy_setopt(easy, CURLOPT_PROXY, access_->proxy.c_str());
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeaderLine);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, said_);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  return absl::OkStatus();
}

void CurlTransfer::Append(List& list, const std::string& line) {
  list.reset(curl_slist_append(list.release(), line.c_str()));
}

// The name that the server's certificate is for is the host of the URL to libcurl; where it is
// another than the server's, the URL has the former and the connection goes to the latter.
absl::Status CurlTransfer::SetUrl() {
  CURL* const easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  const std::string url = access_->server + request_.target;
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  if (access_->tls_server_name.empty()) return absl::OkStatus();

  const std::unique_ptr<CURLU, CurlFree> parts(curl_url());
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    curl_url_get(parts.get(), which, &text, CURLU_DEFAULT_PORT);
    std::string copy = text == nullptr ? "" : text;
    curl_free(text);
    return copy;
  };
  if (curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), CURLU_PATH_AS_IS) != CURLUE_OK) {
    return Failure(absl::StatusCode::kInvalidArgument, "is no URL");
  }
  const std::string authority = part(CURLUPART_HOST) + ":" + part(CURLUPART_PORT);
  if (curl_url_set(parts.get(), CURLUPART_HOST, access_->tls_server_name.c_str(), 0) != CURLUE_OK) {
    return Failure(absl::StatusCode::kInvalidArgument,
                   fmt::format("tls-server-name '{}' is no host", access_->tls_server_name));
  }
  Append(connect_to_, "::" + authority);
  Append(headers_, "Host: " + authority);
  curl_easy_setopt(easy, CURLOPT_URL, part(CURLUPART_URL).c_str());
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to_.get());
  return absl::OkStatus();
}

void CurlTransfer::SetTls() {
  CURL* const easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!access_->verified) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!access_->ca.empty()) {
    const curl_blob ca = BlobOf(access_->ca);
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca);
    // Or the machine's folder of CAs would count as well.
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  if (!access_->client_certificate.empty()) {
    const curl_blob certificate = BlobOf(access_->client_certificate);
    const curl_blob key = BlobOf(access_->client_key);
    curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &key);
  }
}

void CurlTransfer::SetBody() {
  CURL* const easy = easy_.get();
  if (!request_.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.data());
    Append(headers_, "Content-Type: " + request_.content_type);
    Append(headers_, "Expect:");  // libcurl would wait for a 100 before a large body
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
}

size_t CurlTransfer::OnHeaderLine(const char* line, size_t, size_t bytes, void* transfer) {
  return static_cast<CurlTransfer*>(transfer)->TakeHeaderLine({line, bytes}) ? bytes : 0;
}

bool CurlTransfer::TakeHeaderLine(std::string_view line) {
  heard_ = Monotonic();
  head_bytes_ += line.size();
  if (head_bytes_ > kMaxHeadBytes) {
    fault_ = fmt::format("its answer has a head of more than {} KB", kMaxHeadBytes >> 10);
    return false;
  }
  if (head_given_) return true;  // trailers
  if (Trimmed(line).empty()) return GiveHead();
  if (line.starts_with("HTTP/")) head_ = ApiResponseHead();
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  const std::string name = Lower(line.substr(0, colon));
  const std::string_view value = Trimmed(line.substr(colon + 1));
  if (name == "content-type") head_.content_type = value;
  if (name == "retry-after") head_.retry_after = RetryAfter(value);
  return true;
}

bool CurlTransfer::GiveHead() {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status < 200) return true;  // an interim one
  head_.status = static_cast<int>(status);
  head_given_ = true;
  if (status == 401) source_.OnUnauthorized(*access_);
  if (listener_ != nullptr) listener_->OnHead(head_);
  return listener_ != nullptr;
}

size_t CurlTransfer::OnBody(const char* data, size_t, size_t bytes, void* transfer) {
  auto& self = *static_cast<CurlTransfer*>(transfer);
  self.heard_ = Monotonic();
  if (self.listener_ != nullptr) self.listener_->OnBytes({data, bytes});
  return self.listener_ != nullptr ? bytes : 0;
}

absl::Status CurlTransfer::Failure(absl::StatusCode code, std::string_view what) const {
  return absl::Status(
      code, access_ == nullptr ? std::string(what) : fmt::format("{}: {}", access_->server, what));
}

absl::Status CurlTransfer::Explain(CURLcode result) const {
  if (!fault_.empty()) return Failure(absl::StatusCode::kUnavailable, fault_);
  if (result == CURLE_OK) return absl::OkStatus();
  const auto code = result == CURLE_OPERATION_TIMEDOUT ? absl::StatusCode::kDeadlineExceeded
                                                       : absl::StatusCode::kUnavailable;
  return Failure(code, Reason(result));
}

std::string CurlTransfer::Reason(CURLcode result) const {
  std::string said = said_[0] != '\0' ? said_ : curl_easy_strerror(result);
  long error = 0;
  switch (result) {
    case CURLE_COULDNT_CONNECT:
      curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error);
      return error != 0 ? std::strerror(static_cast<int>(error)) : said;
    case CURLE_OPERATION_TIMEDOUT:
      return fmt::format("no connection within {}", absl::FormatDuration(kConnectTimeout));
    case CURLE_PEER_FAILED_VERIFICATION:
      return CertificateFault();
    case CURLE_SSL_CONNECT_ERROR:
      if (said.find("wrong version number") != std::string::npos) {
        return "what it speaks is not TLS";
      }
      return "no TLS connection: " + said;
    case CURLE_SSL_CACERT_BADFILE:
      return fmt::format("the CAs in {} cannot be used: {}", access_->ca_origin, said);
    case CURLE_SSL_CERTPROBLEM:
      return "the client certificate or its key cannot be used: " + said;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return "the connection was lost: " + said;
    case CURLE_BAD_CONTENT_ENCODING:
      return "a gzipped body is damaged: " + said;
    default:
      return said;
  }
}

std::string CurlTransfer::CertificateFault() const {
  long verdict = X509_V_OK;
  curl_easy_getinfo(easy_.get(), CURLINFO_SSL_VERIFYRESULT, &verdict);
  switch (verdict) {
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED:  // not verified yet: libcurl looks at the name first
      return fmt::format("its certificate is for another name: {}", said_);
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return fmt::format("its certificate is not valid now: {}",
                         X509_verify_cert_error_string(verdict));
    default:
      return fmt::format("its certificate is signed by none of the CAs in {}: {}",
                         access_->ca.empty() ? "this machine" : access_->ca_origin,
                         X509_verify_cert_error_string(verdict));
  }
}

}  // namespace portolan
