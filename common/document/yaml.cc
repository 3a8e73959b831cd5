#include "common/document/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "common/status.h"

namespace portolan {
namespace {

using ValuePtr = std::shared_ptr<const Value>;

bool IsNullWord(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

void SetDigest(Value& value) {
  const absl::string_view text(value.text.data(), value.text.size());
  uint64_t digest = absl::HashOf(static_cast<int>(value.kind), text);
  for (const ValuePtr& item : value.items) digest = absl::HashOf(digest, item->digest);
  for (const auto& [key, child] : value.fields) {
    digest = absl::HashOf(digest, absl::string_view(key.data(), key.size()), child->digest);
  }
  value.digest = digest;
}

// Builds the tree of one document out of the parser's events. yaml-cpp lets exceptions through, so
// this throws its ParserException where the text breaks a rule; ReadYaml catches it.
class TreeBuilder : public YAML::EventHandler {
 public:
  ValuePtr TakeRoot() { return std::move(root_); }

  // Before a token that it has no use for, as the comma in `,""`, yaml-cpp finds one empty document
  // after the other.
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (mark.pos == document_at_) throw YAML::ParserException(mark, "no YAML from here on");
    document_at_ = mark.pos;
    anchors_.clear();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(MakeValue(mark, Value::Kind::kNull), anchor, mark, 1);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    // "?" is an unquoted scalar without a tag, "!" a quoted one.
    Value::Kind kind = Value::Kind::kText;
    if (tag == "?") kind = IsNullWord(text) ? Value::Kind::kNull : Value::Kind::kPlain;
    auto value = MakeValue(mark, kind);
    value->text = text;
    Add(std::move(value), anchor, mark, 1);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (anchor >= anchors_.size() || anchors_[anchor].value == nullptr) {
      throw YAML::ParserException(mark, "an alias for the value that it stands in");
    }
    const Anchored& target = anchors_[anchor];
    Count(mark, target.size);
    Place(target.value, mark, target.size);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open_.push_back({MakeValue(mark, Value::Kind::kSequence), anchor, std::nullopt, 1});
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open_.push_back({MakeValue(mark, Value::Kind::kMap), anchor, std::nullopt, 1});
  }
  void OnMapEnd() override {
    Merge(*open_.back().value);
    RefuseTwins(*open_.back().value);
    Close();
  }

 private:
  struct Open {
    std::shared_ptr<Value> value;
    YAML::anchor_t anchor;
    std::optional<std::string> key;  // read, its value not yet
    size_t size;                     // with aliases written out
  };
  struct Anchored {
    ValuePtr value;
    size_t size = 0;
  };

  static std::shared_ptr<Value> MakeValue(const YAML::Mark& mark, Value::Kind kind) {
    auto value = std::make_shared<Value>();
    value->kind = kind;
    value->line = mark.line + 1;
    return value;
  }

  void Count(const YAML::Mark& mark, size_t n) {
    values_ += n;
    if (values_ > kMaxYamlValues) {
      throw YAML::ParserException(
          mark, fmt::format("more than {} values, aliases written out", kMaxYamlValues));
    }
  }

  void Add(std::shared_ptr<Value> value, YAML::anchor_t anchor, const YAML::Mark& mark,
           size_t size) {
    SetDigest(*value);
    Count(mark, 1);
    if (anchor != YAML::NullAnchor) {
      if (anchor >= anchors_.size()) anchors_.resize(anchor + 1);
      anchors_[anchor] = {value, size};
    }
    Place(std::move(value), mark, size);
  }

  void Place(ValuePtr value, const YAML::Mark& mark, size_t size) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    parent.size += size;
    if (parent.value->kind == Value::Kind::kSequence) {
      parent.value->items.push_back(std::move(value));
    } else if (parent.key.has_value()) {
      parent.value->fields.emplace_back(std::move(*parent.key), std::move(value));
      parent.key.reset();
    } else if (value->kind == Value::Kind::kPlain || value->kind == Value::Kind::kText) {
      parent.key = value->text;
    } else {
      throw YAML::ParserException(mark, "a key that is no string");
    }
  }

  void Close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    YAML::Mark mark;
    mark.line = done.value->line - 1;
    Add(std::move(done.value), done.anchor, mark, done.size);
  }

  // "<<: *defaults" adds the fields of another map that this one does not have itself.
  void Merge(Value& map) {
    std::vector<ValuePtr> sources;
    std::erase_if(map.fields, [&](const auto& field) {
      if (field.first != "<<") return false;
      const Value& from = *field.second;
      if (from.kind == Value::Kind::kMap) sources.push_back(field.second);
      if (from.kind == Value::Kind::kSequence) {
        sources.insert(sources.end(), from.items.begin(), from.items.end());
      }
      return true;
    });
    if (sources.empty()) return;
    absl::flat_hash_set<std::string> has;
    for (const auto& field : map.fields) has.insert(field.first);
    for (const ValuePtr& source : sources) {
      for (const auto& field : source->fields) {
        if (has.insert(field.first).second) map.fields.push_back(field);
      }
    }
  }

  void RefuseTwins(const Value& map) {
    std::vector<std::pair<std::string_view, int>> keys;
    keys.reserve(map.fields.size());
    for (const auto& [key, child] : map.fields) keys.emplace_back(key, child->line);
    std::sort(keys.begin(), keys.end());
    for (size_t i = 1; i < keys.size(); ++i) {
      if (keys[i].first != keys[i - 1].first) continue;
      YAML::Mark mark;
      mark.line = keys[i].second - 1;
      throw YAML::ParserException(mark, fmt::format("the key '{}' stands twice", keys[i].first));
    }
  }

  int document_at_ = -1;  // where the last one began
  std::vector<Open> open_;
  std::vector<Anchored> anchors_;
  ValuePtr root_;
  size_t values_ = 0;  // of the whole text
};

}  // namespace

absl::Status ReadYaml(const std::string& text,
                      const std::function<absl::Status(const Value&, int)>& on_document) {
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    TreeBuilder tree;
    for (int document = 1; parser.HandleNextDocument(tree); ++document) {
      const ValuePtr root = tree.TakeRoot();
      if (root == nullptr || root->kind == Value::Kind::kNull) continue;
      if (absl::Status status = on_document(*root, document); !status.ok()) return status;
    }
    return absl::OkStatus();
  } catch (const YAML::Exception& e) {
    return InvalidArgument("{}: {}", e.mark.line + 1, e.msg);
  } catch (const std::exception& e) {
    return InvalidArgument("0: {}", e.what());
  }
}

}  // namespace portolan
