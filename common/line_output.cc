#include "common/line_output.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>

namespace portolan {
namespace {

constexpr auto kPause = std::chrono::milliseconds(50);

}  // namespace

LineOutput& LineOutput::Standard() {
  static LineOutput output(STDOUT_FILENO);
  return output;
}

LineOutput::~LineOutput() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<LineOutput::Writer> LineOutput::Open() {
  auto ring = std::make_shared<Writer>(kRingBytes);
  const std::lock_guard lock(mutex_);
  rings_.push_back(ring);
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  changed_.notify_all();
  return ring;
}

void LineOutput::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    // With nothing open there is nothing to look for.
    changed_.wait(lock, [this] { return stopping_ || !rings_.empty(); });
    const bool last = stopping_;
    // A ring that only we hold gets nothing more: once drained it goes.
    std::vector<std::shared_ptr<Writer>> closed, open;
    for (auto& ring : rings_) (ring.use_count() == 1 ? closed : open).push_back(std::move(ring));
    rings_ = open;
    lock.unlock();
    Drain(closed);
    Drain(open);
    closed.clear();
    open.clear();
    lock.lock();
    if (last) return;
    changed_.wait_for(lock, kPause, [this] { return stopping_; });
  }
}

void LineOutput::Drain(const std::vector<std::shared_ptr<Writer>>& rings) {
  std::array<char, PIPE_BUF> text;
  for (const auto& ring : rings) {
    while (const size_t bytes = ring->Read(text)) {
      if (!WriteOut({text.data(), bytes})) return;
    }
  }
}

bool LineOutput::WriteOut(std::string_view text) const {
  while (!text.empty()) {
    if (!WaitForReader()) return false;
    const ssize_t written = write(fd_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
      return false;  // nobody reads
    }
  }
  return true;
}

// As long as it takes: what fills the rings meanwhile is dropped there. Only the end of the process
// does not wait. Once a pipe is writable it takes PIPE_BUF bytes without waiting (pipe(7)).
bool LineOutput::WaitForReader() const {
  constexpr int kPatienceMs = 100;
  pollfd reader{fd_, POLLOUT, 0};
  while (poll(&reader, 1, kPatienceMs) <= 0) {
    if (stopping_) return false;
  }
  return true;
}

}  // namespace portolan
