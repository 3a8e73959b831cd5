#include "proxy/forwarder/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace portolan::proxy {
namespace {

constexpr auto kRefusalHolds = std::chrono::seconds(1);

}  // namespace

PipePool::PipePool(size_t max, ForwarderCounters& counters) : counters_(counters), pipes_(max) {
  idle_.reserve(max);
  closed_.reserve(max);
  for (Pipe& pipe : pipes_) closed_.push_back(&pipe);
}

Pipe* PipePool::Take() {
  Pipe* pipe = nullptr;
  if (!idle_.empty()) {
    pipe = idle_.back();
    idle_.pop_back();
  } else if (closed_.empty()) {
    counters_.pipes_all_lent.Add();
  } else {
    pipe = Open();
  }
  least_idle_ = std::min(least_idle_, idle_.size());
  if (pipe != nullptr) counters_.pipes_taken.Add();
  return pipe;
}

Pipe* PipePool::Open() {
  const auto now = std::chrono::steady_clock::now();
  if (now < refused_until_) {
    counters_.pipes_refused.Add();
    return nullptr;
  }
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
    refused_until_ = now + kRefusalHolds;
    counters_.pipes_refused.Add();
    return nullptr;
  }
  Fd read(ends[0]);
  Fd write(ends[1]);
  if (fcntl(write.get(), F_GETPIPE_SZ) < static_cast<int>(kPipeBytes)) {
    refused_until_ = now + kRefusalHolds;
    counters_.pipes_small.Add();
    return nullptr;
  }
  Pipe* pipe = closed_.back();
  closed_.pop_back();
  pipe->read = std::move(read);
  pipe->write = std::move(write);
  return pipe;
}

void PipePool::GiveEmpty(Pipe* pipe) {
  if (pipe == nullptr) return;
  counters_.pipes_given.Add();
  idle_.push_back(pipe);
}

void PipePool::GiveFull(Pipe* pipe) {
  counters_.pipes_given.Add();
  *pipe = Pipe();
  closed_.push_back(pipe);
}

void PipePool::Trim() {
  for (; least_idle_ > 0; --least_idle_) {
    *idle_.back() = Pipe();
    closed_.push_back(idle_.back());
    idle_.pop_back();
  }
  least_idle_ = idle_.size();
}

}  // namespace portolan::proxy
