// The resources of one type that the feed is subscribed to by name since others refer to them, and
// those of them that did not get through.
//
// One thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/string_map.h"

namespace portolan::proxy {

class WantedNames {
 public:
  // From now on these.
  void Want(StringSet names) {
    if (names == wanted_) return;
    wanted_ = std::move(names);
    is_news_ = true;
  }
  bool Wants(std::string_view name) const { return wanted_.contains(name); }
  const StringSet& all() const { return wanted_; }

  // A response with it was refused: until it comes again, what is held is not what the server has.
  void Refused(const std::string& name) {
    if (Wants(name)) lacking_.insert(name);
  }
  // So that it comes again, whole, at once. No more than one time until it came.
  void AskAgain(const std::string& name) {
    if (!Wants(name) || !asked_again_.insert(name).second) return;
    again_.push_back(name);
    is_news_ = true;
  }
  void Arrived(std::string_view name) {
    lacking_.erase(name);
    asked_again_.erase(name);
  }
  bool lacks_any() const { return !lacking_.empty(); }

  // What the server has not been told on this stream. What is to come again is in both lists.
  struct Asked {
    std::vector<std::string> subscribe;
    std::vector<std::string> unsubscribe;
  };
  Asked TakeAsked() {
    Asked asked;
    if (!std::exchange(is_news_, false)) return asked;
    for (std::string& name : std::exchange(again_, {})) {
      if (!Wants(name) || !told_.contains(name)) continue;
      asked.unsubscribe.push_back(name);
      asked.subscribe.push_back(std::move(name));
    }
    for (const std::string& name : wanted_) {
      if (!told_.contains(name)) asked.subscribe.push_back(name);
    }
    for (const std::string& name : told_) {
      if (!Wants(name)) asked.unsubscribe.push_back(name);
    }
    told_ = wanted_;
    const auto unwanted = [this](const std::string& name) { return !Wants(name); };
    absl::erase_if(lacking_, unwanted);
    absl::erase_if(asked_again_, unwanted);
    return asked;
  }

  // A new stream, on which all that is wanted is subscribed to.
  void BeginStream() {
    told_ = wanted_;
    is_news_ = false;
    again_.clear();
    lacking_.clear();
    asked_again_.clear();
  }

 private:
  StringSet wanted_;
  StringSet told_;  // to the server, on this stream
  bool is_news_ = false;
  StringSet lacking_;
  StringSet asked_again_;
  std::vector<std::string> again_;  // of those, what the server was not told yet
};

}  // namespace portolan::proxy
