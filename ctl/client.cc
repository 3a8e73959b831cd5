#include "ctl/client.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/ip.h"
#include "common/status.h"
#include "common/text.h"
#include "ctl/interrupt.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

constexpr int kMaxPages = 1000;

struct Body {
  std::string text;
  size_t max_bytes;
  bool too_large = false;
};

size_t OnBody(char* data, size_t size, size_t count, void* to) {
  auto& body = *static_cast<Body*>(to);
  if (body.text.size() + size * count > body.max_bytes) {
    body.too_large = true;
    return 0;
  }
  body.text.append(data, size * count);
  return size * count;
}

int OnProgress(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return Interrupted() ? 1 : 0;
}

std::string PartOf(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string lower = Lower(text);
  curl_free(text);
  return lower;
}

// Whether nobody can read on the way what is sent to `server`, which is taken apart by the library
// that dials it. kubectl keeps its credentials from plain http too.
bool IsPrivate(const std::string& server) {
  const std::unique_ptr<CURLU, CurlDeleter> url(curl_url());
  const CURLUcode parsed =
      curl_url_set(url.get(), CURLUPART_URL, server.c_str(), CURLU_GUESS_SCHEME);
  if (parsed != CURLUE_OK) return false;
  if (PartOf(url.get(), CURLUPART_SCHEME) == "https") return true;
  std::string host = PartOf(url.get(), CURLUPART_HOST);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto ip = IpAddress::Parse(host);
  return host == "localhost" || (ip.ok() && ip->is_loopback());
}

// What errors name, and how it is reached.
struct PeerWords {
  std::string_view program;
  std::string_view flag;
  std::string_view port;  // and the flag of the program
  std::string_view forward;
};

PeerWords WordsFor(Client::Peer peer) {
  if (peer == Client::Peer::kSidecar) {
    return {"portolan-proxy", "--admin", "--admin-listen (port 15000)",
            "kubectl -n NAMESPACE port-forward POD 15000"};
  }
  return {"portolan-control", "--server", "--http-listen (port 15080)",
          "kubectl -n portolan-system port-forward deploy/portolan-control 15080"};
}

absl::Status Unreachable(const PeerWords& words, const std::string& server, std::string_view why) {
  return absl::UnavailableError(
      fmt::format("cannot reach {}: {}\nIs {} running there? Give its address with "
                  "{}, or forward the port: {}",
                  server, why, words.program, words.flag, words.forward));
}

std::string_view AccessHint(long status, bool has_token) {
  if (status == 401 && !has_token) {
    return "\nShow who you are: --token FILE, or a token in PORTOLAN_TOKEN (kubectl create token)";
  }
  if (status == 401) return "\nIs the token of this cluster, and not expired? kubectl create token";
  if (status == 403) return "\nWho may read this API is said in docs/dashboard-access.md";
  return "";
}

}  // namespace

std::string EncodeQuery(const std::string& text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (char c : text) {
    if (kPlain.find(c) != kPlain.npos) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

absl::Status SetUp(CURL* curl, const Client::Options& options, const std::string& path,
                   CurlHeaders& headers) {
  std::string server = options.server;
  while (server.ends_with('/')) server.pop_back();
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, (server + path).c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "portolanctl/" PORTOLAN_VERSION);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, OnProgress);
  if (!options.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
  if (options.token.empty()) return absl::OkStatus();
  if (!IsPrivate(server)) {
    return FailedPrecondition(
        "the token is not sent to {}, where others could read it on the way\n"
        "Use https, or kubectl port-forward and http://127.0.0.1:PORT",
        server);
  }
  headers.reset(curl_slist_append(nullptr, ("Authorization: Bearer " + options.token).c_str()));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  return absl::OkStatus();
}

Client::Client(Options options) : options_(std::move(options)), curl_(curl_easy_init()) {}

absl::StatusOr<json> Client::Get(const std::string& path) { return Request(Method::kGet, path); }

absl::StatusOr<json> Client::Post(const std::string& path) { return Request(Method::kPost, path); }

absl::StatusOr<json> Client::Request(Method method, const std::string& path) {
  const PeerWords words = WordsFor(options_.peer);
  if (curl_ == nullptr) return absl::InternalError("libcurl cannot be started");
  const std::string& server = options_.server;
  const long timeout_ms =
      std::max(1L, static_cast<long>(absl::ToInt64Milliseconds(options_.timeout)));
  char error[CURL_ERROR_SIZE] = "";
  Body body{.text = {}, .max_bytes = options_.max_bytes};
  CurlHeaders headers;
  if (auto status = SetUp(curl_.get(), options_, path, headers); !status.ok()) return status;
  if (method == Method::kPost) curl_easy_setopt(curl_.get(), CURLOPT_POSTFIELDS, "");
  curl_easy_setopt(curl_.get(), CURLOPT_TIMEOUT_MS, timeout_ms);
  curl_easy_setopt(curl_.get(), CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, &body);

  const CURLcode result = curl_easy_perform(curl_.get());
  if (body.too_large) {
    return FailedPrecondition(
        "the answer of {} is larger than {} bytes; ask for less, by -n or a "
        "search word",
        server, options_.max_bytes);
  }
  if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL) {
    return InvalidArgument("{} '{}' is not a URL such as http://127.0.0.1:15080", words.flag,
                           server);
  }
  if (result == CURLE_ABORTED_BY_CALLBACK) return absl::CancelledError("interrupted");
  if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE) {
    return FailedPrecondition("{}: {}\nSay with --ca FILE which CA its certificate is of", server,
                              error[0] != '\0' ? error : curl_easy_strerror(result));
  }
  if (result != CURLE_OK) {
    return Unreachable(words, server, error[0] != '\0' ? error : curl_easy_strerror(result));
  }

  long status = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
  json answer = json::parse(body.text, nullptr, false);
  if (answer.is_object() && status == 200) return answer;
  if (answer.is_object() && answer.contains("error") && answer["error"].is_string()) {
    return FailedPrecondition("{} says: {}{}", server, answer["error"].get<std::string>(),
                              AccessHint(status, !options_.token.empty()));
  }
  return FailedPrecondition(
      "{} answered {} with status {}, which is not {}'s API. Give the address of its {} with {}",
      server, path, status, words.program, words.port, words.flag);
}

absl::StatusOr<json> Client::GetAll(const std::string& path, const std::string& key) {
  json entries = json::array();
  std::string next;
  for (int page = 0; page < kMaxPages; ++page) {
    const char* separator = path.find('?') == std::string::npos ? "?" : "&";
    absl::StatusOr<json> answer =
        Get(next.empty() ? path : path + separator + "continue=" + EncodeQuery(next));
    if (!answer.ok()) return answer;
    if (auto found = answer->find(key); found != answer->end() && found->is_array()) {
      for (json& entry : *found) entries.push_back(std::move(entry));
    }
    const auto more = answer->find("continue");
    if (more == answer->end() || !more->is_string()) {
      (*answer)[key] = std::move(entries);
      return answer;
    }
    next = more->get<std::string>();
  }
  return FailedPrecondition("{} gives no end of pages", options_.server);
}

}  // namespace portolan::ctl
