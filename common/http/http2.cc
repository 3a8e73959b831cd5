#include "common/http/http2.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "common/http/target.h"
#include "common/text.h"

namespace portolan::http {
namespace {

// What a stream may send before it is the oldest: HTTP/2's own initial window.
constexpr size_t kStreamBytes = NGHTTP2_INITIAL_WINDOW_SIZE;
// A body that has come this far will need more.
constexpr size_t kGrowFrom = kStreamBytes / 2;
// A head of more than so many times the limit is no mistake.
constexpr size_t kHeadFlood = 16;
// So many more requests may end without their answer than with it.
constexpr uint64_t kResetsAllowed = 100;

std::string_view View(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Not copied; both outlive the call that takes it.
nghttp2_nv Field(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

uint32_t Window(size_t bytes) {
  return static_cast<uint32_t>(std::min<size_t>(bytes, NGHTTP2_MAX_WINDOW_SIZE));
}

}  // namespace

// libnghttp2's callbacks; what they mean is in the session's methods.
struct Http2Session::Callbacks {
  static Http2Session& Of(void* session) { return *static_cast<Http2Session*>(session); }

  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* session) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) Of(session).OnBeginHead(frame->hd.stream_id);
    return 0;
  }

  static int Header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                    void* session) {
    const bool taken =
        Of(session).OnField(frame->hd.stream_id, View(name, name_size), View(value, value_size));
    return taken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int FrameReceived(nghttp2_session*, const nghttp2_frame* frame, void* session) {
    Http2Session& self = Of(session);
    if (frame->hd.type == NGHTTP2_SETTINGS) self.greeted_ = true;
    Stream* stream = self.Find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (stream->phase == Phase::kHead) self.OnHead(frame->hd.stream_id, *stream);
        [[fallthrough]];
      case NGHTTP2_DATA:
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) self.OnEnd(frame->hd.stream_id, *stream);
        break;
      case NGHTTP2_RST_STREAM:
        ++self.tally_.reset;
        break;
      default:
        break;
    }
    return 0;
  }

  static int Data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                  void* session) {
    Of(session).OnData(id, View(data, size));
    return 0;
  }

  static int FrameSent(nghttp2_session*, const nghttp2_frame* frame, void* session) {
    Http2Session& self = Of(session);
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
      if (frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM) {
        ++self.tally_.refused;
      } else if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
        ++self.tally_.malformed;
      }
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      if (frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM) {
        ++self.tally_.floods;
      } else if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        ++self.tally_.malformed;
      }
    } else if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
      Stream* stream = self.Find(frame->hd.stream_id);
      if (stream != nullptr) self.OnSent(*stream);
    }
    return 0;
  }

  static int StreamClosed(nghttp2_session*, int32_t id, uint32_t, void* session) {
    Of(session).OnClosed(id);
    return 0;
  }

  static ssize_t ReadAnswer(nghttp2_session*, int32_t id, uint8_t* into, size_t room,
                            uint32_t* flags, nghttp2_data_source*, void* session) {
    bool all = false;
    const auto n = Of(session).ReadAnswer(id, into, room, all);
    if (!n) return NGHTTP2_ERR_DEFERRED;
    if (all) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(*n);
  }
};

void Http2Session::SessionFree::operator()(nghttp2_session* session) const {
  nghttp2_session_del(session);
}

Http2Session::Http2Session(const Limits& limits, RequestSink& sink, Clock clock)
    : limits_(limits), sink_(sink), clock_(std::move(clock)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::BeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::Header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::FrameReceived);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::Data);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::FrameSent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::StreamClosed);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_session* session = nullptr;
  nghttp2_session_server_new2(&session, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  session_.reset(session);

  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.streams},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits_.header_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  // The streams' windows are the bound. Twice, since libnghttp2 gives back what was used only once
  // it is half of the window.
  const size_t all_streams = limits_.streams * kStreamBytes + limits_.body_bytes;
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(Window(2 * all_streams)));
}

Http2Session::Stream* Http2Session::Find(int32_t id) {
  const auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

Http2Session::Stream* Http2Session::FindStreaming(StreamId stream) {
  Stream* found = Find(static_cast<int32_t>(stream));
  return found != nullptr && found->streaming ? found : nullptr;
}

Http2Session::Streams::const_iterator Http2Session::Oldest() const {
  const auto busy = std::find_if(streams_.begin(), streams_.end(), [](const auto& each) {
    return each.second.phase != Phase::kStreaming;
  });
  return busy != streams_.end() ? busy : streams_.begin();
}

Session::Phase Http2Session::phase() const {
  if (!greeted_ && !ending_) return Phase::kHead;
  const auto oldest = Oldest();
  return oldest == streams_.end() ? Phase::kIdle : oldest->second.phase;
}

StreamId Http2Session::phase_stream() const {
  const auto oldest = Oldest();
  return static_cast<StreamId>(oldest == streams_.end() ? last_begun_ : oldest->first);
}

uint64_t Http2Session::phase_progress() const {
  const auto oldest = Oldest();
  return oldest == streams_.end() ? 0 : oldest->second.progress;
}

bool Http2Session::wants_input() const {
  return !finished_ && !ending_ && output_.size() <= limits_.output_bytes;
}

bool Http2Session::held_back() const {
  if (finished_) return false;
  return (cut_short_ && output_.size() < limits_.output_bytes) ||
         (!complete_.empty() && waiting_bytes() <= limits_.output_bytes);
}

void Http2Session::Receive(std::string_view bytes) {
  if (finished_) return;
  if (!ending_ && !bytes.empty()) {
    const ssize_t n = nghttp2_session_mem_recv(
        session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (calm_down_ || n == NGHTTP2_ERR_FLOODED) {
      Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (n < 0) {
      Terminate(n == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
    }
  }
  HandOnRequests();
  LetOldestGrow();
  WriteFrames();
}

void Http2Session::OnBeginHead(int32_t id) {
  streams_.try_emplace(id);
  last_begun_ = id;
}

// False: the stream is to be reset.
bool Http2Session::OnField(int32_t id, std::string_view name, std::string_view value) {
  Stream* stream = Find(id);
  if (stream == nullptr) return true;
  constexpr size_t kFieldOverhead = 32;  // RFC 9113 6.5.2
  stream->field_bytes += name.size() + value.size() + kFieldOverhead;
  if (stream->field_bytes > kHeadFlood * limits_.header_bytes) {
    calm_down_ = true;
    return false;
  }
  const bool trailer = stream->phase != Phase::kHead;
  if (trailer || stream->field_bytes > limits_.header_bytes) return true;
  Request& request = stream->request;
  if (name == ":method") {
    request.method = value;
  } else if (name == ":path") {
    stream->target = value;
  } else if (name == ":authority") {
    request.host = value;
  } else if (!name.starts_with(':') && request.headers.size() <= limits_.header_count) {
    request.headers.push_back({std::string(name), std::string(value)});
  }
  return true;
}

int Http2Session::CheckHead(Stream& stream, std::string_view& why) const {
  Request& request = stream.request;
  if (stream.field_bytes > limits_.header_bytes) {
    why = "the request head is too large";
    return 431;
  }
  if (request.headers.size() > limits_.header_count) {
    why = "too many header fields";
    return 431;
  }
  if (stream.target.size() > limits_.target_bytes) {
    why = "the request target is too long";
    return 414;
  }
  auto target = stream.target.starts_with('/') ? ParseTarget(stream.target) : std::nullopt;
  if (!target) {
    why = "malformed request target";
    return 400;
  }
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  const auto host = request.FindHeader("host");
  if (request.host.empty()) request.host = host.value_or("");
  if (host && *host != request.host) {
    why = "Host and :authority are not the same";
    return 400;
  }
  // libnghttp2 has seen that it is one number.
  uint64_t length = 0;
  const std::string_view written = request.FindHeader("content-length").value_or("0");
  std::from_chars(written.data(), written.data() + written.size(), length);
  if (length > limits_.body_bytes) return 413;
  const auto expect = request.FindHeader("expect");
  if (expect && Lower(*expect) != "100-continue") {
    why = "100-continue is the only expectation known";
    return 417;
  }
  return 0;
}

void Http2Session::OnHead(int32_t id, Stream& stream) {
  stream.is_head = stream.request.method == "HEAD";
  stream.phase = Phase::kBody;
  std::string_view why;
  if (const int status = CheckHead(stream, why); status != 0) {
    Refuse(id, stream, status, why);
    return;
  }
  if (stream.request.FindHeader("expect")) {
    const nghttp2_nv status = Field(":status", "100");
    nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, id, nullptr, &status, 1, nullptr);
  }
}

void Http2Session::OnData(int32_t id, std::string_view data) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->answered) {
    nghttp2_session_consume(session_.get(), id, data.size());
    return;
  }
  stream->held += data.size();
  if (stream->held > limits_.body_bytes) {
    Refuse(id, *stream, 413, {});
    return;
  }
  stream->request.body.append(data);
}

void Http2Session::OnEnd(int32_t id, Stream& stream) {
  stream.ended = true;
  if (stream.answered) return;
  stream.phase = Phase::kAnswering;
  complete_.push_back(id);
}

void Http2Session::HandOnRequests() {
  while (!complete_.empty() && waiting_bytes() <= limits_.output_bytes) {
    const int32_t id = complete_.front();
    complete_.pop_front();
    Stream* stream = Find(id);
    if (stream == nullptr || stream->answered) continue;
    stream->handed_on = true;
    Request request = std::exchange(stream->request, Request());
    Release(id, *stream);
    sink_.OnRequest(static_cast<StreamId>(id), std::move(request));
  }
}

// The oldest is never in another's way for ever: each of its phases has a deadline.
void Http2Session::LetOldestGrow() {
  const auto oldest = std::find_if(streams_.begin(), streams_.end(),
                                   [](const auto& each) { return !each.second.answered; });
  if (oldest == streams_.end()) return;
  auto& [id, stream] = *oldest;
  if (stream.ended || stream.may_grow || stream.held < kGrowFrom) return;
  stream.may_grow = true;
  // One more, so that a body beyond the limit is seen to be.
  const size_t window = std::max(limits_.body_bytes + 1, kStreamBytes);
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, id,
                                        static_cast<int32_t>(Window(window)));
}

// Gives the peer back what the stream held of the windows.
void Http2Session::Release(int32_t id, Stream& stream) {
  const size_t held = std::exchange(stream.held, 0);
  if (stream.ended) {
    nghttp2_session_consume_connection(session_.get(), held);
  } else {
    nghttp2_session_consume(session_.get(), id, held);
  }
}

void Http2Session::Refuse(int32_t id, Stream& stream, int status, std::string_view why) {
  ++tally_.malformed;
  const Response response =
      status == 413
          ? TextResponse(413, fmt::format("the body is larger than {} bytes", limits_.body_bytes))
          : TextResponse(status, why);
  Submit(id, stream, response);
}

void Http2Session::Respond(StreamId id, const Response& response) {
  Stream* stream = Find(static_cast<int32_t>(id));
  if (stream == nullptr || stream->answered || !stream->handed_on) return;
  Submit(static_cast<int32_t>(id), *stream, response);
}

void Http2Session::Submit(int32_t id, Stream& stream, const Response& response) {
  stream.phase = Phase::kSending;
  stream.answered = true;
  stream.request = Request();
  Release(id, stream);
  if (!stream.is_head && !HasNoBody(response.status)) stream.answer = response.body;
  unsent_ += stream.answer.size();
  SubmitHead(id, response.status, FieldsOf(response, clock_()), !stream.answer.empty());
}

void Http2Session::SubmitHead(int32_t id, int status, std::vector<Header> fields, bool with_body) {
  for (Header& field : fields) field.name = Lower(field.name);
  const std::string code = std::to_string(status);
  std::vector<nghttp2_nv> written = {Field(":status", code)};
  for (const Header& field : fields) written.push_back(Field(field.name, field.value));
  nghttp2_data_provider body{};
  body.read_callback = Callbacks::ReadAnswer;
  const int result = nghttp2_submit_response(session_.get(), id, written.data(), written.size(),
                                             with_body ? &body : nullptr);
  if (result != 0) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
  }
}

bool Http2Session::Begin(StreamId id, const Response& head) {
  const auto number = static_cast<int32_t>(id);
  Stream* stream = Find(number);
  if (stream == nullptr || stream->answered || !stream->handed_on || ending_) return false;
  stream->answered = true;
  stream->streaming = !stream->is_head;
  stream->phase = stream->streaming ? Phase::kStreaming : Phase::kSending;
  SubmitHead(number, head.status, StreamFieldsOf(head, clock_()), stream->streaming);
  Send(id, head.body);
  return stream->streaming;
}

void Http2Session::Send(StreamId id, std::string_view bytes) {
  Stream* stream = FindStreaming(id);
  if (stream == nullptr || bytes.empty()) return;
  stream->answer.erase(0, std::exchange(stream->sent, 0));
  stream->answer.append(bytes);
  stream->phase = Phase::kSending;
  unsent_ += bytes.size();
  nghttp2_session_resume_data(session_.get(), static_cast<int32_t>(id));
}

void Http2Session::End(StreamId id) {
  Stream* stream = FindStreaming(id);
  if (stream == nullptr) return;
  stream->streaming = false;
  stream->phase = Phase::kSending;
  nghttp2_session_resume_data(session_.get(), static_cast<int32_t>(id));
}

size_t Http2Session::held(StreamId id) const {
  const auto it = streams_.find(static_cast<int32_t>(id));
  return it == streams_.end() ? 0 : it->second.answer.size() - it->second.sent;
}

// Nothing: there is none just now, Send and End say when there is.
std::optional<size_t> Http2Session::ReadAnswer(int32_t id, uint8_t* into, size_t room, bool& all) {
  Stream* stream = Find(id);
  if (stream == nullptr) return 0;
  const size_t n = stream->answer.copy(reinterpret_cast<char*>(into), room, stream->sent);
  stream->sent += n;
  unsent_ -= n;
  all = !stream->streaming && stream->sent == stream->answer.size();
  if (!stream->streaming) return n;
  stream->progress += n;
  if (stream->sent == stream->answer.size()) stream->phase = Phase::kStreaming;
  return n > 0 ? std::optional(n) : std::nullopt;
}

// To reset the stream while the peer still sends would be allowed (RFC 9113 8.1), but curl then
// takes the answer for lost.
void Http2Session::OnSent(Stream& stream) {
  stream.all_sent = true;
  if (!stream.ended) stream.phase = Phase::kBody;
}

void Http2Session::OnClosed(int32_t id) {
  Stream* stream = Find(id);
  if (stream == nullptr) return;
  ++(stream->all_sent ? answered_ : unanswered_);
  if (unanswered_ > answered_ + kResetsAllowed) calm_down_ = true;
  unsent_ -= stream->answer.size() - stream->sent;
  Release(id, *stream);
  const bool cut_off = stream->streaming;
  streams_.erase(id);
  if (cut_off) sink_.OnGone(static_cast<StreamId>(id));
}

void Http2Session::Abort(int status, std::string_view why) {
  const Phase now = phase();
  if (streams_.empty() || now == Phase::kHead || now == Phase::kSending) {
    Terminate(NGHTTP2_NO_ERROR);
    return;
  }
  const int32_t id = Oldest()->first;
  Stream& stream = *Find(id);
  if (stream.answered) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
  } else {
    Submit(id, stream, TextResponse(status, why));
  }
}

void Http2Session::Drain() { nghttp2_submit_shutdown_notice(session_.get()); }

void Http2Session::Finish() {
  for (const auto& [id, stream] : streams_) End(static_cast<StreamId>(id));
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

// Says why, and that is all.
void Http2Session::Terminate(uint32_t error_code) {
  ending_ = true;
  complete_.clear();
  nghttp2_session_terminate_session(session_.get(), error_code);
}

void Http2Session::WriteFrames() {
  while (output_.size() < limits_.output_bytes) {
    const uint8_t* frame = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_.get(), &frame);
    if (n <= 0) break;
    output_.append(View(frame, static_cast<size_t>(n)));
  }
  cut_short_ = output_.size() >= limits_.output_bytes;
  if (calm_down_ && !ending_) {
    Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    WriteFrames();
    return;
  }
  finished_ = nghttp2_session_want_read(session_.get()) == 0 &&
              nghttp2_session_want_write(session_.get()) == 0;
}

}  // namespace portolan::http
