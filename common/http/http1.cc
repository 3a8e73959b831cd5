#include "common/http/http1.h"

#include <fmt/format.h>
#include <http_parser.h>

#include <algorithm>
#include <utility>

#include "common/http/target.h"
#include "common/text.h"

namespace portolan::http {
namespace {

bool IsToken(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return IsToken(c); });
}

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The first line of `text`, which ScanHead saw to be CRLF-terminated; removed from it.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = text.find("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 2);
  return line;
}

// A head as libhttp-parser understood it.
struct Head {
  std::string target;
  std::vector<Header> headers;
  size_t max_headers = 0;
  bool complete = false;
  bool too_many = false;
  bool value_last = false;

  static Head& Of(http_parser* parser) { return *static_cast<Head*>(parser->data); }
};

int OnUrl(http_parser* parser, const char* at, size_t length) {
  Head::Of(parser).target.append(at, length);
  return 0;
}

int OnField(http_parser* parser, const char* at, size_t length) {
  Head& head = Head::Of(parser);
  if (head.headers.empty() || head.value_last) {
    if (head.headers.size() == head.max_headers) {
      head.too_many = true;
      return 1;
    }
    head.headers.emplace_back();
    head.value_last = false;
  }
  head.headers.back().name.append(at, length);
  return 0;
}

int OnValue(http_parser* parser, const char* at, size_t length) {
  Head& head = Head::Of(parser);
  head.headers.back().value.append(at, length);
  head.value_last = true;
  return 0;
}

int OnHeadersComplete(http_parser* parser) {
  Head::Of(parser).complete = true;
  http_parser_pause(parser, 1);  // the body is not its business
  return 0;
}

constexpr http_parser_settings MakeSettings() {
  http_parser_settings settings{};
  settings.on_url = OnUrl;
  settings.on_header_field = OnField;
  settings.on_header_value = OnValue;
  settings.on_headers_complete = OnHeadersComplete;
  return settings;
}

// RFC 9112 2 to 5, without the latitude that those sections grant readers. Returns 0, or the status
// to refuse with.
int CheckGrammar(std::string_view head) {
  std::string_view line = TakeLine(head);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == line.npos || first == last) return 400;
  const std::string_view version = line.substr(last + 1);
  if (!IsToken(line.substr(0, first)) || last == first + 1) return 400;
  if (line.substr(first + 1, last - first - 1).find_first_of(" \t") != line.npos) return 400;
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    const bool is_version = version.size() == 8 && version.substr(0, 5) == "HTTP/" &&
                            version[6] == '.' && version[5] >= '0' && version[5] <= '9' &&
                            version[7] >= '0' && version[7] <= '9';
    return is_version ? 505 : 400;
  }
  for (line = TakeLine(head); !line.empty(); line = TakeLine(head)) {
    const size_t colon = line.find(':');
    if (colon == line.npos || !IsToken(line.substr(0, colon))) return 400;
  }
  return 0;
}

size_t Count(const std::vector<Header>& headers, std::string_view name) {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(),
                                           [&](const Header& h) { return h.name == name; }));
}

}  // namespace

Http1Session::Http1Session(const Limits& limits, RequestSink& sink, Clock clock)
    : limits_(limits), sink_(sink), clock_(std::move(clock)) {}

bool Http1Session::may_parse() const {
  const bool under_way = phase_ == Phase::kAnswering || phase_ == Phase::kStreaming;
  return !finished_ && !under_way && output_.size() <= limits_.output_bytes;
}

bool Http1Session::wants_input() const {
  if (finished_) return false;
  return may_parse() || input_.size() < limits_.header_bytes;
}

bool Http1Session::held_back() const { return may_parse() && !starved_; }

void Http1Session::Receive(std::string_view bytes) {
  if (finished_) return;
  input_.append(bytes);
  Progress progress = Progress::kMade;
  while (may_parse() && progress == Progress::kMade) {
    progress = phase_ == Phase::kBody ? ReadBody() : ReadHead();
  }
  starved_ = progress == Progress::kNeedsInput;
}

Http1Session::HeadScan Http1Session::ScanHead() {
  for (; scanned_ < input_.size() && scanned_ < limits_.header_bytes; ++scanned_) {
    const char c = input_[scanned_];
    const char before = scanned_ == 0 ? '\0' : input_[scanned_ - 1];
    if ((c == '\n') != (before == '\r')) return HeadScan::kBad;
    if (IsControl(c) && c != '\r' && c != '\n') return HeadScan::kBad;
    first_line_ended_ = first_line_ended_ || c == '\n';
    if (!first_line_ended_ && scanned_ >= limits_.target_bytes) return HeadScan::kTargetTooLong;
    if (c == '\n' && scanned_ >= 3 && input_[scanned_ - 2] == '\n') {
      ++scanned_;
      return HeadScan::kComplete;
    }
  }
  return HeadScan::kMore;
}

Http1Session::Progress Http1Session::ReadHead() {
  if (phase_ == Phase::kIdle) {
    // RFC 9112 2.2: empty lines before a request are skipped.
    while (input_.compare(0, 2, "\r\n") == 0) input_.erase(0, 2);
    if (input_.empty() || input_ == "\r") return Progress::kNeedsInput;
    phase_ = Phase::kHead;
    ++stream_;
    request_ = Request();
    is_head_ = false;
    is_http10_ = false;
    first_line_ended_ = false;
    // What is no method from its first byte (a TLS hello, say) is told so at once.
    if (!IsToken(input_.front())) return Refuse(400, "not an HTTP/1.1 request");
  }
  switch (ScanHead()) {
    case HeadScan::kBad:
      return Refuse(400, "a control character or a bare CR or LF in the request head");
    case HeadScan::kTargetTooLong:
      return Refuse(414, "the request target is too long");
    case HeadScan::kMore:
      if (scanned_ < limits_.header_bytes) return Progress::kNeedsInput;
      return Refuse(431, "the request head is too large");
    case HeadScan::kComplete:
      break;
  }
  const std::string head = input_.substr(0, std::exchange(scanned_, 0));
  input_.erase(0, head.size());
  TakeHead(head);
  return Progress::kMade;
}

void Http1Session::TakeHead(std::string_view text) {
  if (const int status = CheckGrammar(text); status != 0) {
    Refuse(status, status == 505 ? "HTTP/1.1 and HTTP/1.0 only" : "malformed request head");
    return;
  }
  static constexpr http_parser_settings kSettings = MakeSettings();
  Head head;
  head.max_headers = limits_.header_count;
  http_parser parser;
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &head;
  http_parser_execute(&parser, &kSettings, text.data(), text.size());
  const auto error = static_cast<http_errno>(parser.http_errno);
  if (head.too_many) {
    Refuse(431, "too many header fields");
    return;
  }
  if (error == HPE_INVALID_METHOD) {
    Refuse(501, "unknown method");
    return;
  }
  if (!head.complete || error != HPE_PAUSED) {
    Refuse(400, http_errno_description(error));
    return;
  }

  request_.method = http_method_str(static_cast<http_method>(parser.method));
  is_head_ = request_.method == "HEAD";
  is_http10_ = parser.http_minor == 0;
  for (Header& header : head.headers) {
    request_.headers.push_back({Lower(header.name), std::string(Trim(header.value))});
  }
  const auto& headers = request_.headers;
  const auto host = request_.FindHeader("host");
  if (Count(headers, "host") > 1 || (!host && !is_http10_)) {
    Refuse(400, "exactly one Host field is needed");
    return;
  }
  auto target = ParseTarget(head.target);
  if (!target) {
    Refuse(400, "malformed request target");
    return;
  }
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  request_.host = target->authority.empty() ? std::string(host.value_or("")) : target->authority;

  const size_t codings = Count(headers, "transfer-encoding");
  const size_t lengths = Count(headers, "content-length");
  if (codings + lengths > 1 || (codings > 0 && is_http10_)) {
    Refuse(400, "Content-Length and Transfer-Encoding leave the body's end in doubt");
    return;
  }
  if (codings > 0 && Lower(*request_.FindHeader("transfer-encoding")) != "chunked") {
    Refuse(501, "chunked is the only transfer coding known");
    return;
  }
  body_left_ = lengths > 0 ? parser.content_length : 0;
  if (body_left_ > limits_.body_bytes) {
    Refuse(413, fmt::format("the body is larger than {} bytes", limits_.body_bytes));
    return;
  }
  const auto expect = request_.FindHeader("expect");
  if (expect && Lower(*expect) != "100-continue") {
    Refuse(417, "100-continue is the only expectation known");
    return;
  }
  keep_alive_ = http_should_keep_alive(&parser) != 0;

  if (codings > 0) chunks_.emplace(limits_.body_bytes, limits_.header_bytes);
  if (codings == 0 && body_left_ == 0) {
    DispatchRequest();
    return;
  }
  phase_ = Phase::kBody;
  if (expect && !is_http10_) output_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

Http1Session::Progress Http1Session::ReadBody() {
  if (input_.empty()) return Progress::kNeedsInput;
  if (chunks_) return ReadChunks();
  const size_t n = std::min<uint64_t>(body_left_, input_.size());
  request_.body.append(input_, 0, n);
  input_.erase(0, n);
  body_left_ -= n;
  if (body_left_ > 0) return Progress::kNeedsInput;
  DispatchRequest();
  return Progress::kMade;
}

Http1Session::Progress Http1Session::ReadChunks() {
  std::string_view rest = input_;
  const ChunkDecoder::Outcome outcome = chunks_->Decode(rest, request_.body);
  input_.erase(0, input_.size() - rest.size());
  switch (outcome) {
    case ChunkDecoder::Outcome::kMore:
      return Progress::kNeedsInput;
    case ChunkDecoder::Outcome::kDone:
      DispatchRequest();
      return Progress::kMade;
    case ChunkDecoder::Outcome::kMalformed:
      return Refuse(400, "malformed chunked body");
    case ChunkDecoder::Outcome::kTooLarge:
      return Refuse(413, fmt::format("the body is larger than {} bytes", limits_.body_bytes));
  }
  return Progress::kNeedsInput;
}

void Http1Session::DispatchRequest() {
  chunks_.reset();
  phase_ = Phase::kAnswering;
  sink_.OnRequest(stream_, std::exchange(request_, Request()));
}

void Http1Session::Respond(StreamId stream, const Response& response) {
  if (finished_ || phase_ != Phase::kAnswering || stream != stream_) return;
  keep_alive_ = keep_alive_ && !draining_;
  Write(response);
  phase_ = Phase::kIdle;
  finished_ = !keep_alive_;
}

bool Http1Session::Begin(StreamId stream, const Response& head) {
  if (finished_ || phase_ != Phase::kAnswering || stream != stream_) return false;
  keep_alive_ = keep_alive_ && !draining_ && !is_http10_;
  std::vector<Header> fields = StreamFieldsOf(head, clock_());
  if (!is_http10_) fields.push_back({"Transfer-Encoding", "chunked"});
  WriteHead(head, fields);
  phase_ = is_head_ ? Phase::kIdle : Phase::kStreaming;
  finished_ = is_head_ && !keep_alive_;
  if (is_head_) return false;
  Send(stream, head.body);
  return true;
}

void Http1Session::Send(StreamId stream, std::string_view bytes) {
  if (phase_ != Phase::kStreaming || stream != stream_) return;
  if (is_http10_) {
    output_ += bytes;
  } else if (!bytes.empty()) {  // an empty chunk is the end
    output_ += fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  }
}

void Http1Session::End(StreamId stream) {
  if (phase_ != Phase::kStreaming || stream != stream_) return;
  if (!is_http10_) output_ += "0\r\n\r\n";
  phase_ = Phase::kIdle;
  finished_ = !keep_alive_;
}

Http1Session::Progress Http1Session::Refuse(int status, std::string_view why) {
  ++tally_.malformed;
  Abort(status, why);
  return Progress::kNeedsInput;
}

void Http1Session::Abort(int status, std::string_view why) {
  if (finished_) return;
  if (phase_ != Phase::kIdle && phase_ != Phase::kStreaming) {
    keep_alive_ = false;
    Write(TextResponse(status, why));
  }
  phase_ = Phase::kIdle;
  finished_ = true;
  input_.clear();
  scanned_ = 0;
  chunks_.reset();
}

void Http1Session::Finish() {
  draining_ = true;
  End(stream_);
  finished_ = finished_ || phase_ == Phase::kIdle;
}

void Http1Session::Write(const Response& response) {
  WriteHead(response, FieldsOf(response, clock_()));
  if (!is_head_ && !HasNoBody(response.status)) output_ += response.body;
}

void Http1Session::WriteHead(const Response& response, const std::vector<Header>& fields) {
  std::string& out = output_;
  out += fmt::format("HTTP/1.1 {} {}\r\n", response.status, ReasonPhrase(response.status));
  for (const Header& field : fields) {
    out += fmt::format("{}: {}\r\n", field.name, field.value);
  }
  if (!keep_alive_) {
    out += "Connection: close\r\n";
  } else if (is_http10_) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
}

}  // namespace portolan::http
