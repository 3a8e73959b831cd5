#include "xds/api/resource_page.h"

namespace portolan::api {

void ResourcePage::Add(const std::string& name, const std::string& version) {
  if (name <= after_) return;
  if (page_.size() == kMost) {
    more_ = true;
    if (name > page_.rbegin()->first) return;
    page_.erase(std::prev(page_.end()));
  }
  page_.emplace(name, version);
}

nlohmann::json ResourcePage::ToJson() const {
  nlohmann::json out = {{"resources", page_}};
  if (more_) out["continue"] = page_.rbegin()->first;
  return out;
}

}  // namespace portolan::api
