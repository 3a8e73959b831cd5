#include "ctl/event_stream.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/monotonic.h"
#include "ctl/interrupt.h"

namespace portolan::ctl {
namespace {

// Of the lines only the names of events are looked at.
constexpr size_t kMaxLine = 64;

}  // namespace

EventStream::EventStream(Client::Options options)
    : options_(std::move(options)), multi_(curl_multi_init()) {
  InterruptFd();
}

EventStream::~EventStream() {
  Disconnect();
  curl_multi_cleanup(multi_);
}

void EventStream::Connect() {
  curl_.reset(curl_easy_init());
  if (curl_ == nullptr || !SetUp(curl_.get(), options_, "/api/v1/events", headers_).ok()) {
    return curl_.reset();
  }
  curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, this);
  curl_easy_setopt(curl_.get(), CURLOPT_FAILONERROR, 1L);
  curl_multi_add_handle(multi_, curl_.get());
  line_.clear();
}

void EventStream::Disconnect() {
  if (curl_ != nullptr) curl_multi_remove_handle(multi_, curl_.get());
  curl_.reset();
}

size_t EventStream::OnBody(char* data, size_t size, size_t count, void* stream) {
  auto& self = *static_cast<EventStream*>(stream);
  for (const char c : std::string_view(data, size * count)) {
    if (c != '\n') {
      if (self.line_.size() < kMaxLine) self.line_ += c;
      continue;
    }
    const std::string line = std::exchange(self.line_, {});
    if (line.starts_with("event: change") || line.starts_with("event: sidecars")) {
      self.changed_ = true;
    }
  }
  return size * count;
}

void EventStream::Perform() {
  int running = 0;
  curl_multi_perform(multi_, &running);
  if (curl_ == nullptr || running > 0) return;
  // 404: one without events. Where it is away, or refuses for now, it is tried again.
  long status = 0;
  curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &status);
  unknown_ = status == 404;
  Disconnect();
}

EventStream::Woken EventStream::Wait(absl::Duration patience) {
  if (curl_ == nullptr && !unknown_) Connect();
  const absl::Duration began = Monotonic();
  while (!Interrupted()) {
    Perform();
    if (std::exchange(changed_, false)) return Woken::kChange;
    const absl::Duration most = curl_ == nullptr ? std::min(patience, kWithoutEvents) : patience;
    const absl::Duration left = began + most - Monotonic();
    if (left <= absl::ZeroDuration()) return Woken::kTime;
    curl_waitfd interrupt{InterruptFd(), CURL_WAIT_POLLIN, 0};
    curl_multi_poll(multi_, &interrupt, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1,
                    nullptr);
  }
  return Woken::kInterrupted;
}

}  // namespace portolan::ctl
