#include "ctl/completion.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/flags.h"
#include "common/json_fields.h"
#include "ctl/output.h"
#include "ctl/session.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

constexpr unsigned kPatienceSeconds = 2;
// What no shell takes for more than it is.
constexpr std::string_view kHarmless =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/";
constexpr std::array<std::string_view, 6> kFileOptions = {
    "--kubeconfig", "--token", "--ca", "--config", "--filename", "--template"};

constexpr std::string_view kBash =
    R"(# bash completion of portolanctl: source <(portolanctl completion bash)
_portolanctl() {
  local candidates
  candidates=$("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
  if [ "$candidates" = ":files" ]; then
    compopt -o default
  elif [ -n "$candidates" ]; then
    mapfile -t COMPREPLY <<< "$candidates"
  fi
}
complete -F _portolanctl portolanctl
)";
constexpr std::string_view kZsh = R"(#compdef portolanctl
# zsh completion of portolanctl: source <(portolanctl completion zsh)
_portolanctl() {
  local -a candidates
  candidates=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "${candidates[1]}" == ":files" ]]; then
    _files
  else
    compadd -a candidates
  fi
}
compdef _portolanctl portolanctl
)";

const CLI::App* FindSubcommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* one : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (one->get_name() == name) return one;
  }
  return nullptr;
}

// "--output" or "-o", of the subcommand or of all; null: there is none.
const CLI::Option* FindOption(const CLI::App& app, const CLI::App* subcommand,
                              const std::string& word) {
  for (const CLI::App* one : {subcommand, &app}) {
    const CLI::Option* option = one == nullptr ? nullptr : one->get_option_no_throw(word);
    if (option != nullptr) return option;
  }
  return nullptr;
}

// Of an option that takes one of some words: "TEXT:{table,json}" is how CLI11 describes it.
Words ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  Words choices;
  if (begin == std::string::npos || end == std::string::npos) return choices;
  for (size_t at = begin + 1; at < end;) {
    const size_t comma = std::min(type.find(',', at), end);
    choices.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return choices;
}

Words OptionsOf(const CLI::App& app) {
  Words names;
  for (const CLI::Option* option : app.get_options([](const CLI::Option*) { return true; })) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What is known of the words before the one to be completed.
struct Typed {
  const CLI::App* subcommand = nullptr;
  const CLI::Option* open = nullptr;  // whose value is to come
  size_t positionals = 0;             // behind the subcommand
};

Typed Read(const CLI::App& app, const Words& words) {
  Typed typed;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "=") continue;  // bash parts "--output=json" there
    if (typed.open != nullptr) {
      typed.open = nullptr;
    } else if (word.starts_with('-')) {
      if (word.find('=') != std::string::npos) continue;
      const CLI::Option* option = FindOption(app, typed.subcommand, word);
      if (option != nullptr && option->get_expected_max() > 0) typed.open = option;
    } else if (typed.subcommand == nullptr) {
      typed.subcommand = FindSubcommand(app, word);
    } else {
      ++typed.positionals;
    }
  }
  return typed;
}

const CLI::Option* PositionalAt(const CLI::App& subcommand, size_t index) {
  for (const CLI::Option* option :
       subcommand.get_options([](const CLI::Option* one) { return one->get_positional(); })) {
    if (index-- == 0) return option;
  }
  return nullptr;
}

Words ValuesOf(const CLI::Option& option, const AskCluster& ask) {
  if (Words choices = ChoicesOf(option); !choices.empty()) return choices;
  const std::string name = option.get_name(option.get_positional());
  if (std::find(kFileOptions.begin(), kFileOptions.end(), name) != kFileOptions.end()) {
    return {std::string(kFilesWanted)};
  }
  if (option.check_name("--pod") || option.check_name("--from") || option.check_name("POD")) {
    return ask("pod");
  }
  if (option.check_name("SERVICE") || option.check_name("NAME") || option.check_name("SEARCH")) {
    return ask("service");
  }
  return {};
}

Words CandidatesFor(const CLI::App& app, const Typed& typed, const std::string& word,
                    const AskCluster& ask) {
  if (typed.open != nullptr) return ValuesOf(*typed.open, ask);
  if (word.starts_with('-')) {
    Words options = OptionsOf(app);
    if (typed.subcommand == nullptr) return options;
    const Words more = OptionsOf(*typed.subcommand);
    options.insert(options.end(), more.begin(), more.end());
    return options;
  }
  if (typed.subcommand == nullptr) {
    Words names;
    for (const CLI::App* one : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (!one->get_name().starts_with('_')) names.push_back(one->get_name());
    }
    return names;
  }
  const CLI::Option* positional = PositionalAt(*typed.subcommand, typed.positionals);
  return positional == nullptr ? Words() : ValuesOf(*positional, ask);
}

// The value of `flag`, but of the last word, which is still being typed; empty: there is none. zsh
// leaves "--server=URL" whole, bash parts it.
std::string ValueIn(const Words& words, const std::string& flag) {
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i].starts_with(flag + "=")) return words[i].substr(flag.size() + 1);
    if (words[i] != flag) continue;
    const size_t value = i + (words[i + 1] == "=" ? 2 : 1);
    return value + 1 < words.size() ? words[value] : std::string();
  }
  return {};
}

// Gives the flags that lead to the control plane the values that stand in `words`.
void TakeFlags(CLI::App& app, const Words& words) {
  for (const char* flag :
       {"--server", "--kubeconfig", "--context", "--control-namespace", "--token", "--ca"}) {
    const std::string value = ValueIn(words, flag);
    if (value.empty()) continue;
    CLI::Option* option = app.get_option(flag);
    option->clear();
    option->add_result(value);
    option->run_callback();
  }
}

Words FromCluster(Session& session, std::string_view kind) {
  Words names;
  const bool pods = kind == "pod";
  const auto answer =
      session.Get(pods ? "/api/v1/sidecars?limit=1000" : "/api/v1/names?limit=5000");
  if (!answer.ok()) return names;
  for (const json& one : ListOf(*answer, pods ? "sidecars" : "names")) {
    names.push_back(pods ? TextOf(one, "node")
                         : fmt::format("{}/{}", TextOf(one, "namespace"), TextOf(one, "name")));
    // Without a namespace a Service is of the default one.
    if (!pods && TextOf(one, "namespace") == "default") names.push_back(TextOf(one, "name"));
  }
  return names;
}

}  // namespace

Words Complete(const CLI::App& app, const Words& words, const AskCluster& ask) {
  if (words.empty()) return {};
  // Behind "--output=" bash has "=" for the word.
  const std::string word = words.back() == "=" ? std::string() : words.back();
  Words fitting;
  for (std::string& one : CandidatesFor(app, Read(app, words), word, ask)) {
    if (one == kFilesWanted) return {one};
    if (one.starts_with(word) && one.find_first_not_of(kHarmless) == std::string::npos) {
      fitting.push_back(std::move(one));
    }
  }
  std::sort(fitting.begin(), fitting.end());
  fitting.erase(std::unique(fitting.begin(), fitting.end()), fitting.end());
  return fitting;
}

Run AddCompletion(CLI::App& command) {
  auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "bash or zsh")
      ->check(CLI::IsMember({"bash", "zsh"}))
      ->required();
  return [shell](Session&) { return Print(std::string(*shell == "bash" ? kBash : kZsh)); };
}

Run AddComplete(CLI::App& command) {
  auto words = std::make_shared<Words>();
  command.add_option("WORDS", *words);
  command.group("");  // not in --help
  CLI::App* app = command.get_parent();
  return [words, app](Session& session) {
    // A shell that waits is worse than one that offers nothing.
    signal(SIGALRM, [](int) { _exit(kExitFailed); });
    alarm(kPatienceSeconds);
    TakeFlags(*app, *words);
    std::string text;
    for (const std::string& one : Complete(
             *app, *words, [&](std::string_view kind) { return FromCluster(session, kind); })) {
      text += one + "\n";
    }
    return Print(text);
  };
}

}  // namespace portolan::ctl
