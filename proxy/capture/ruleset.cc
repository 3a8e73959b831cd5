#include "proxy/capture/ruleset.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace portolan::proxy {
namespace {

bool IsOwn(std::string_view chain) { return chain.starts_with(kChainPrefix); }

// Takes the next word off `line`, which is in the notation of iptables-save: words are parted by
// blanks, a word with blanks is in double quotes with backslash escapes. Quotes are kept.
std::string_view NextWord(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  size_t end = 0;
  bool quoted = false;
  for (; end < line.size() && (quoted || line[end] != ' '); ++end) {
    if (line[end] == '"') quoted = !quoted;
    if (line[end] == '\\' && end + 1 < line.size()) ++end;
  }
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

std::string_view Target(std::string_view rule) {
  for (std::string_view word = NextWord(rule); !word.empty(); word = NextWord(rule)) {
    if (word == "-j" || word == "-g") return NextWord(rule);
  }
  return {};
}

// Calls visit(line) for each line that is neither empty nor a comment.
template <typename F>
void ForEachLine(std::string_view text, F&& visit) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.empty() && line.front() != '#') visit(line);
  }
}

const Table* FindTable(const std::vector<Table>& tables, std::string_view name) {
  auto it = std::find_if(tables.begin(), tables.end(), [&](auto& t) { return t.name == name; });
  return it == tables.end() ? nullptr : &*it;
}

const Chain* FindChain(const Table& table, std::string_view name) {
  auto it = std::find_if(table.chains.begin(), table.chains.end(),
                         [&](auto& c) { return c.name == name; });
  return it == table.chains.end() ? nullptr : &*it;
}

Chain& ChainNamed(Table& table, std::string_view name) {
  for (Chain& chain : table.chains) {
    if (chain.name == name) return chain;
  }
  return table.chains.emplace_back(Chain{std::string(name), {}});
}

void ReadLine(std::string_view line, Table& table) {
  if (line.front() == ':') {
    line.remove_prefix(1);
    if (const std::string_view name = NextWord(line); IsOwn(name)) ChainNamed(table, name);
    return;
  }
  if (NextWord(line) != "-A") return;
  const std::string_view chain = NextWord(line);
  line.remove_prefix(std::min<size_t>(1, line.size()));
  if (IsOwn(chain)) {
    ChainNamed(table, chain).rules.emplace_back(line);
  } else if (IsOwn(Target(line))) {
    table.jumps.push_back({std::string(chain), std::string(line)});
  }
}

// Calls visit(wanted, found) for each table that either has; one that is lacking is empty.
template <typename F>
void ForEachPair(const std::vector<Table>& wanted, const std::vector<Table>& found, F&& visit) {
  for (const Table& table : wanted) {
    const Table* there = FindTable(found, table.name);
    visit(table, there == nullptr ? Table{.name = table.name, .jumps = {}, .chains = {}} : *there);
  }
  for (const Table& table : found) {
    if (FindTable(wanted, table.name) == nullptr) {
      visit(Table{.name = table.name, .jumps = {}, .chains = {}}, table);
    }
  }
}

void CompareRules(const Chain& wanted, const Chain& found, std::string_view table,
                  std::vector<std::string>& differences) {
  if (wanted.rules == found.rules) return;
  const size_t before = differences.size();
  auto lacks = [](const Chain& chain, const std::string& rule) {
    return std::find(chain.rules.begin(), chain.rules.end(), rule) == chain.rules.end();
  };
  for (const std::string& rule : wanted.rules) {
    if (!lacks(found, rule)) continue;
    differences.push_back(fmt::format("{}: rule missing: -A {} {}", table, wanted.name, rule));
  }
  for (const std::string& rule : found.rules) {
    if (!lacks(wanted, rule)) continue;
    differences.push_back(fmt::format("{}: rule not wanted: -A {} {}", table, wanted.name, rule));
  }
  if (differences.size() == before) {
    differences.push_back(
        fmt::format("{}: rules of {} repeated or in another order", table, wanted.name));
  }
}

void CompareJumps(const Table& wanted, const Table& found, std::vector<std::string>& differences) {
  for (const Jump& jump : wanted.jumps) {
    const auto times = std::count(found.jumps.begin(), found.jumps.end(), jump);
    if (times == 1) continue;
    differences.push_back(
        fmt::format("{}: {}: -A {} {}", wanted.name,
                    times == 0 ? "jump missing" : fmt::format("jump there {} times", times),
                    jump.from, jump.rule));
  }
  for (const Jump& jump : found.jumps) {
    if (std::count(wanted.jumps.begin(), wanted.jumps.end(), jump) > 0) continue;
    differences.push_back(
        fmt::format("{}: jump not wanted: -A {} {}", wanted.name, jump.from, jump.rule));
  }
}

bool SameJumps(const Table& wanted, const Table& found) {
  std::vector<std::string> differences;
  CompareJumps(wanted, found, differences);
  return differences.empty();
}

std::string Transaction(const Table& wanted, const Table& found) {
  std::string text = fmt::format("*{}\n", wanted.name);
  std::vector<std::string_view> superfluous;
  for (const Chain& chain : found.chains) {
    if (FindChain(wanted, chain.name) == nullptr) superfluous.push_back(chain.name);
  }
  // With --noflush a chain that is declared is made, or emptied if it is there.
  for (const Chain& chain : wanted.chains) text += fmt::format(":{} - [0:0]\n", chain.name);
  for (std::string_view name : superfluous) text += fmt::format(":{} - [0:0]\n", name);
  if (!SameJumps(wanted, found)) {
    for (const Jump& jump : found.jumps) text += fmt::format("-D {} {}\n", jump.from, jump.rule);
    // First in its chain: what stands there already must not decide what we capture.
    for (auto jump = wanted.jumps.rbegin(); jump != wanted.jumps.rend(); ++jump) {
      text += fmt::format("-I {} 1 {}\n", jump->from, jump->rule);
    }
  }
  for (const Chain& chain : wanted.chains) {
    for (const std::string& rule : chain.rules) text += fmt::format("-A {} {}\n", chain.name, rule);
  }
  for (std::string_view name : superfluous) text += fmt::format("-X {}\n", name);
  return text + "COMMIT\n";
}

}  // namespace

std::vector<Table> OwnTables(std::string_view iptables_save) {
  std::vector<Table> tables;
  std::optional<Table> table;
  ForEachLine(iptables_save, [&](std::string_view line) {
    if (line.front() == '*') {
      table = Table{.name = std::string(line.substr(1)), .jumps = {}, .chains = {}};
    } else if (line == "COMMIT" && table.has_value()) {
      std::sort(table->chains.begin(), table->chains.end(),
                [](const Chain& a, const Chain& b) { return a.name < b.name; });
      if (!table->chains.empty() || !table->jumps.empty()) tables.push_back(*std::move(table));
      table = std::nullopt;
    } else if (table.has_value()) {
      ReadLine(line, *table);
    }
  });
  return tables;
}

bool HoldsRules(std::string_view iptables_save) {
  bool holds = false;
  ForEachLine(iptables_save, [&](std::string_view line) {
    // ":NAME POLICY [0:0]": a chain that is not built in has no policy.
    holds = holds || line.starts_with("-A ") ||
            (line.front() == ':' && line.find(" - ") != std::string_view::npos);
  });
  return holds;
}

std::vector<std::string> Differences(const std::vector<Table>& wanted,
                                     const std::vector<Table>& found) {
  std::vector<std::string> differences;
  ForEachPair(wanted, found, [&](const Table& want, const Table& there) {
    CompareJumps(want, there, differences);
    for (const Chain& chain : want.chains) {
      if (const Chain* same = FindChain(there, chain.name)) {
        CompareRules(chain, *same, want.name, differences);
      } else {
        differences.push_back(fmt::format("{}: chain missing: {}", want.name, chain.name));
      }
    }
    for (const Chain& chain : there.chains) {
      if (FindChain(want, chain.name) != nullptr) continue;
      differences.push_back(fmt::format("{}: chain not wanted: {}", want.name, chain.name));
    }
  });
  return differences;
}

std::string RestoreInput(const std::vector<Table>& wanted, const std::vector<Table>& found) {
  std::string text;
  ForEachPair(wanted, found, [&](const Table& want, const Table& there) {
    if (!Differences({want}, {there}).empty()) text += Transaction(want, there);
  });
  return text;
}

}  // namespace portolan::proxy
