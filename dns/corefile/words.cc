#include "dns/corefile/words.h"

namespace portolan::dns::corefile {
namespace {

void Append(const std::vector<Token>& tokens, std::string& out) {
  for (const Token& token : tokens) out += token.text + '\0';
}

void Append(const std::vector<Directive>& lines, std::string& out) {
  for (const Directive& line : lines) {
    out += line.name.text + '\0';
    Append(line.arguments, out);
    out += '{';
    Append(line.block, out);
    out += '}';
  }
}

}  // namespace

std::string WordsOf(const Directive& directive) {
  std::string words;
  Append(std::vector<Directive>{directive}, words);
  return words;
}

std::string WordsOf(const Corefile& corefile) {
  std::string words;
  for (const ServerBlock& block : corefile.blocks) {
    Append(block.keys, words);
    Append(block.directives, words);
  }
  return words;
}

}  // namespace portolan::dns::corefile
