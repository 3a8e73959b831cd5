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

LineOutput::Writer::~Writer() {
  ring_.reset();
  output_.Wake();
}

bool LineOutput::Writer::Write(std::string_view text) {
  if (!ring_->Write(text)) return false;
  output_.Wake();
  return true;
}

LineOutput::~LineOutput() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  Wake();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<LineOutput::Writer> LineOutput::Open() {
  auto ring = std::make_shared<ByteRing>(kRingBytes);
  const std::lock_guard lock(mutex_);
  rings_.push_back(ring);
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  return std::make_unique<Writer>(*this, std::move(ring));
}

// A system call only when the thread sleeps: at most once in each kPause.
void LineOutput::Wake() {
  if (news_.exchange(1) == 0) news_.notify_one();
}

void LineOutput::Run() {
  while (true) {
    news_.wait(0);
    const bool last = stopping_;
    news_ = 0;  // before the rings are read: what comes meanwhile is looked for again
    DrainAll();
    if (last) return;
    std::unique_lock lock(mutex_);
    stop_.wait_for(lock, kPause, [this] { return stopping_.load(); });
  }
}

void LineOutput::DrainAll() {
  std::vector<std::shared_ptr<ByteRing>> rings;
  {
    const std::lock_guard lock(mutex_);
    rings = rings_;
  }
  for (const auto& ring : rings) Drain(*ring);
  rings.clear();
  // A ring that only we hold gets nothing more; if its last lines came just now its Writer's end
  // has woken us again.
  const std::lock_guard lock(mutex_);
  std::erase_if(rings_, [](const auto& ring) { return ring.use_count() == 1 && ring->empty(); });
}

void LineOutput::Drain(ByteRing& ring) {
  std::array<char, PIPE_BUF> text;
  while (const size_t bytes = ring.Read(text)) {
    if (!WriteOut({text.data(), bytes})) return;
  }
}

bool LineOutput::WriteOut(std::string_view text) {
  const auto give_up = [&] {
    lost_bytes_.Add(text.size());
    return false;
  };
  while (!text.empty()) {
    if (!WaitForReader()) return give_up();
    const ssize_t written = write(fd_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EAGAIN && errno != EINTR) {
      return give_up();  // nobody reads, or there is no room
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
