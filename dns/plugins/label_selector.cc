#include "dns/plugins/label_selector.h"

#include <algorithm>
#include <string_view>

#include "common/nearest.h"

namespace portolan::dns {
namespace {

using corefile::Token;

bool IsMark(char c) { return std::string_view("(),!=").find(c) != std::string_view::npos; }

// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/: of keys and values.
bool IsLabelCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '/';
}

// A word or a mark ("(", ")", ",", "!", "=", "==", "!=") with the place where it stands.
struct Piece {
  Token token;
  bool mark = false;
};

std::vector<Piece> Cut(std::span<const Token> words) {
  std::vector<Piece> pieces;
  for (const Token& word : words) {
    const std::string& text = word.text;
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const bool mark = IsMark(text[at]);
      if (text[at] == ' ' || text[at] == '\t') {
        ++at;
        continue;
      }
      if (mark) {
        const bool two =
            at + 1 < text.size() && text[at + 1] == '=' && (text[at] == '=' || text[at] == '!');
        at += two ? 2 : 1;
      } else {
        at = std::min(text.size(), text.find_first_of("(),!= \t", at));
      }
      Token token = word;
      token.text = text.substr(start, at - start);
      token.column += static_cast<int>(start);
      pieces.push_back({std::move(token), mark});
    }
  }
  return pieces;
}

}  // namespace

class LabelSelectorParser {
 public:
  using Requirement = LabelSelector::Requirement;
  using Operator = LabelSelector::Operator;

  LabelSelectorParser(std::vector<Piece> pieces, const Token& last)
      : pieces_(std::move(pieces)), last_(last) {}

  absl::Status Parse(LabelSelector& selector) {
    while (true) {
      Requirement requirement;
      absl::Status status = ParseRequirement(requirement);
      if (!status.ok()) return status;
      selector.requirements_.push_back(std::move(requirement));
      if (at_ == pieces_.size()) return absl::OkStatus();
      if (!Take(",")) return Expected("',' or the end");
    }
  }

 private:
  absl::Status ParseRequirement(Requirement& requirement) {
    if (Take("!")) {
      requirement.op = Operator::kMissing;
      return ParseWord("a label key", requirement.key);
    }
    absl::Status status = ParseWord("a label key", requirement.key);
    if (!status.ok() || at_ == pieces_.size() || At(",")) return status;
    if (Take("=") || Take("==")) return ParseValue(Operator::kIn, requirement);
    if (Take("!=")) return ParseValue(Operator::kNotIn, requirement);
    std::string op;
    const Token place = pieces_[at_].token;
    status = ParseWord("an operator", op);
    if (!status.ok()) return status;
    if (op != "in" && op != "notin") {
      constexpr std::string_view kKnown[] = {"in", "notin"};
      return place.Error(fmt::format("label selector: '{}' is no operator (=, ==, !=, in, notin){}",
                                     op, DidYouMean(op, kKnown)));
    }
    requirement.op = op == "in" ? Operator::kIn : Operator::kNotIn;
    return ParseValues(requirement);
  }

  // Nothing is a value too: "key=".
  absl::Status ParseValue(Operator op, Requirement& requirement) {
    requirement.op = op;
    std::string& value = requirement.values.emplace_back();
    if (at_ == pieces_.size() || At(",")) return absl::OkStatus();
    return ParseWord("a value", value);
  }

  absl::Status ParseValues(Requirement& requirement) {
    if (!Take("(")) return Expected("'('");
    do {
      std::string& value = requirement.values.emplace_back();
      if (At(",") || (At(")") && requirement.values.size() > 1)) continue;
      absl::Status status = ParseWord("a value", value);
      if (!status.ok()) return status;
    } while (Take(","));
    return Take(")") ? absl::OkStatus() : Expected("',' or ')'");
  }

  absl::Status ParseWord(std::string_view what, std::string& word) {
    if (at_ == pieces_.size() || pieces_[at_].mark) return Expected(what);
    const Token& token = pieces_[at_++].token;
    if (!std::all_of(token.text.begin(), token.text.end(), IsLabelCharacter)) {
      return token.Error(fmt::format("label selector: '{}' cannot be {}", token.text, what));
    }
    word = token.text;
    return absl::OkStatus();
  }

  bool At(std::string_view mark) const {
    return at_ < pieces_.size() && pieces_[at_].mark && pieces_[at_].token.text == mark;
  }
  bool Take(std::string_view mark) {
    if (!At(mark)) return false;
    ++at_;
    return true;
  }

  absl::Status Expected(std::string_view what) const {
    if (at_ == pieces_.size()) {
      return last_.Error(
          fmt::format("label selector: {} is missing behind '{}'", what, last_.text));
    }
    const Token& token = pieces_[at_].token;
    return token.Error(fmt::format("label selector: '{}' where {} should be", token.text, what));
  }

  const std::vector<Piece> pieces_;
  const Token& last_;
  size_t at_ = 0;
};

absl::StatusOr<LabelSelector> LabelSelector::Parse(std::span<const Token> words) {
  LabelSelector selector;
  absl::Status status = LabelSelectorParser(Cut(words), words.back()).Parse(selector);
  if (!status.ok()) return status;
  return selector;
}

bool LabelSelector::Matches(const LabelMap& labels) const {
  return std::all_of(
      requirements_.begin(), requirements_.end(), [&](const Requirement& requirement) {
        const auto label = std::find_if(labels.begin(), labels.end(), [&](const auto& entry) {
          return entry.first == requirement.key;
        });
        const auto& values = requirement.values;
        const bool is_in = label != labels.end() &&
                           std::find(values.begin(), values.end(), label->second) != values.end();
        switch (requirement.op) {
          case Operator::kExists:
            return label != labels.end();
          case Operator::kMissing:
            return label == labels.end();
          case Operator::kIn:
            return is_in;
          case Operator::kNotIn:
            break;
        }
        return !is_in;
      });
}

}  // namespace portolan::dns
