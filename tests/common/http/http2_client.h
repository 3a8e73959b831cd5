// An HTTP/2 client made of strings, for tests of the server.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/message.h"

namespace portolan::http {

class Http2Client {
 public:
  struct Answer {
    int status = 0;
    std::vector<int> informational;
    std::vector<Header> fields;
    std::string body;
    bool closed = false;
    uint32_t error_code = 0;  // once closed

    std::string Field(std::string_view name) const {
      for (const Header& field : fields) {
        if (field.name == name) return field.value;
      }
      return "";
    }
  };
  struct GoAway {
    int32_t last;
    uint32_t error_code;
  };
  // Of a request whose body is sent when the server's windows allow.
  struct Body {
    std::string bytes;
    bool end = true;  // false: more is to come, which never does
    std::vector<Header> trailers;
  };

  // `window`: of each answer's body and of all together, enlarged only by Allow; 0: without bound.
  explicit Http2Client(uint32_t window = 0) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    if (window != 0) nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session* session = nullptr;
    nghttp2_session_client_new2(&session, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    session_.reset(session);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window == 0 ? 1u << 30 : window}};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 1);
    if (window == 0) {
      nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
    }
  }
  Http2Client(const Http2Client&) = delete;
  Http2Client& operator=(const Http2Client&) = delete;

  // The stream. `fields` come after the pseudo fields, which they replace by name.
  int32_t Ask(std::string_view method, std::string_view path,
              const std::vector<Header>& fields = {}, std::optional<Body> body = {}) {
    std::vector<Header> all = {{":method", std::string(method)},
                               {":scheme", "https"},
                               {":authority", "a"},
                               {":path", std::string(path)}};
    for (const Header& field : fields) {
      const auto same = std::find_if(all.begin(), all.end(),
                                     [&](const Header& h) { return h.name == field.name; });
      if (field.name.starts_with(':') && same != all.end()) {
        same->value = field.value;
      } else {
        all.push_back(field);
      }
    }
    std::erase_if(all, [](const Header& h) { return h.name[0] == ':' && h.value == "-"; });
    nghttp2_data_provider provider{};
    provider.read_callback = ReadBody;
    const std::vector<nghttp2_nv> written = Written(all);
    const int32_t id = nghttp2_submit_request(session_.get(), nullptr, written.data(),
                                              written.size(), body ? &provider : nullptr, nullptr);
    answers_[id];
    if (body) bodies_[id] = *std::move(body);
    return id;
  }
  int32_t Post(std::string body) { return Ask("POST", "/", {}, Body{std::move(body), true, {}}); }

  void Reset(int32_t id) {
    nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  }
  // Of answers' bodies, for streams that begin later.
  void SetInitialWindow(uint32_t bytes) {
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, bytes}};
    nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings, 1);
  }
  void Allow(int32_t id, int32_t bytes) {
    nghttp2_submit_window_update(session_.get(), NGHTTP2_FLAG_NONE, id, bytes);
    nghttp2_submit_window_update(session_.get(), NGHTTP2_FLAG_NONE, 0, bytes);
  }

  void Receive(std::string_view bytes) {
    nghttp2_session_mem_recv(session_.get(), reinterpret_cast<const uint8_t*>(bytes.data()),
                             bytes.size());
  }
  std::string TakeOutput() {
    std::string out;
    const uint8_t* frame = nullptr;
    for (ssize_t n; (n = nghttp2_session_mem_send(session_.get(), &frame)) > 0;) {
      out.append(reinterpret_cast<const char*>(frame), static_cast<size_t>(n));
    }
    return out;
  }

  const Answer& answer(int32_t id) { return answers_[id]; }
  const std::optional<GoAway>& goaway() const { return goaway_; }
  uint32_t Setting(nghttp2_settings_id id) const {
    return nghttp2_session_get_remote_settings(session_.get(), id);
  }
  // Of the body, not yet sent.
  size_t unsent(int32_t id) { return bodies_[id].bytes.size(); }

 private:
  struct Free {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  static Http2Client& Of(void* self) { return *static_cast<Http2Client*>(self); }

  static std::vector<nghttp2_nv> Written(const std::vector<Header>& fields) {
    std::vector<nghttp2_nv> written;
    const auto bytes = [](const std::string& text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
    };
    for (const Header& field : fields) {
      written.push_back({bytes(field.name), bytes(field.value), field.name.size(),
                         field.value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    return written;
  }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* self) {
    Answer& answer = Of(self).answers_[frame->hd.stream_id];
    const std::string field(reinterpret_cast<const char*>(name), name_size);
    const std::string text(reinterpret_cast<const char*>(value), value_size);
    if (field != ":status") {
      answer.fields.push_back({field, text});
    } else if (text[0] == '1') {
      answer.informational.push_back(std::stoi(text));
    } else {
      answer.status = std::stoi(text);
    }
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self) {
    if (frame->hd.type != NGHTTP2_GOAWAY) return 0;
    Of(self).goaway_ = GoAway{frame->goaway.last_stream_id, frame->goaway.error_code};
    return 0;
  }

  static int OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                    void* self) {
    Of(self).answers_[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }

  static int OnClose(nghttp2_session*, int32_t id, uint32_t error_code, void* self) {
    Of(self).answers_[id].closed = true;
    Of(self).answers_[id].error_code = error_code;
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session* session, int32_t id, uint8_t* into, size_t room,
                          uint32_t* flags, nghttp2_data_source*, void* self) {
    Body& body = Of(self).bodies_[id];
    const size_t n = body.bytes.copy(reinterpret_cast<char*>(into), room);
    if (n == 0 && !body.end) return NGHTTP2_ERR_DEFERRED;
    body.bytes.erase(0, n);
    if (body.bytes.empty() && body.end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!body.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const std::vector<nghttp2_nv> written = Written(body.trailers);
        nghttp2_submit_trailer(session, id, written.data(), written.size());
      }
    }
    return static_cast<ssize_t>(n);
  }

  std::unique_ptr<nghttp2_session, Free> session_;
  std::map<int32_t, Answer> answers_;
  std::map<int32_t, Body> bodies_;
  std::optional<GoAway> goaway_;
};

}  // namespace portolan::http
