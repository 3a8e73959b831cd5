// What a verdict costs (policy/egress_rules.h), compiled and by a walk over all rules: 10,
// 1,000 and 10,000 rules whose peers, blocks or names differ, or that nest around one address.
//
// Each asks for what is allowed by some rule, and for what is denied by all, in no order: as the
// connections of a pod come.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "policy/policy_compiler.h"
#include "tests/policy/policies.h"
#include "tests/policy/walk.h"

namespace portolan::proxy {
namespace {

constexpr size_t kQuestions = 4096;  // a power of two

struct Question {
  SocketAddress to;
  std::string name = {};  // instead of an address
  std::string wire = {};
};

struct World {
  Walk walk;
  std::shared_ptr<const EgressRules> rules;
  std::vector<Question> questions;
};

IpAddress Numbered(uint8_t net, uint32_t i) {
  const uint8_t bytes[] = {net, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8),
                           static_cast<uint8_t>(i)};
  return IpAddress::V4(bytes);
}

uint16_t PortOf(uint32_t rule) { return static_cast<uint16_t>(1024 + rule % 50'000); }

World Compiled(std::vector<RuleInput> rules, std::vector<Question> questions,
               std::map<std::string, std::set<Peer>> sets = {}) {
  World world;
  world.walk = {{DnsPolicyOf("bench", std::move(rules))}, {}, std::move(sets)};
  PolicyCompiler compiler;
  compiler.SetPolicies(world.walk.policies, {});
  for (const auto& [name, peers] : world.walk.sets) {
    compiler.SetPeers(name, Peers(peers.begin(), peers.end()));
  }
  world.rules = compiler.Commit();
  world.questions = std::move(questions);
  std::shuffle(world.questions.begin(), world.questions.end(), std::minstd_rand(1));
  return world;
}

// `ask(i)`: of so many, every second allowed.
template <typename F>
std::vector<Question> Questions(uint32_t rules, F&& ask) {
  std::minstd_rand random(2);
  std::vector<Question> all;
  for (size_t i = 0; i < kQuestions; ++i) {
    all.push_back(ask(static_cast<uint32_t>(random() % rules), i % 2 == 0));
  }
  return all;
}

// A set of ten pods for each rule, and each pod in ten of them.
World Peers(uint32_t count) {
  std::vector<RuleInput> rules;
  std::map<std::string, std::set<Peer>> sets;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string set = fmt::format("set-{}", i);
    rules.push_back(ToSet(set, {Tcp(PortOf(i))}));
    for (uint32_t pod = i; pod < i + 10; ++pod) sets[set].insert({Numbered(10, pod), 0});
  }
  return Compiled(std::move(rules),
                  Questions(count,
                            [](uint32_t i, bool allowed) {
                              return Question{{Numbered(10, i), allowed ? PortOf(i) : uint16_t{1}}};
                            }),
                  std::move(sets));
}

World Blocks(uint32_t count) {
  std::vector<RuleInput> rules;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string block = Numbered(10, i << 8).ToString() + "/24";
    rules.push_back(ToBlock(block, {}, {Tcp(PortOf(i)), Tcp(443)}));
  }
  return Compiled(std::move(rules), Questions(count, [](uint32_t i, bool allowed) {
                    return Question{{Numbered(10, i << 8 | 7), allowed ? PortOf(i) : uint16_t{1}}};
                  }));
}

// As many prefixes as there are lengths, one within the other, each with its share of the rules.
World Nested(uint32_t count, const char* inmost, uint32_t lengths) {
  const IpAddress ip = *IpAddress::Parse(inmost);
  std::vector<RuleInput> rules;
  for (uint32_t i = 0; i < count; ++i) {
    RuleInput rule = ToBlock("10.0.0.0/8", {}, {Tcp(PortOf(i))});
    const auto bits = static_cast<uint8_t>(i % lengths + 1);
    rule.blocks = {{Cidr::Around(ip, bits), {}}};
    rules.push_back(std::move(rule));
  }
  return Compiled(std::move(rules), Questions(count, [&](uint32_t i, bool allowed) {
                    return Question{{ip, allowed ? PortOf(i) : uint16_t{1}}};
                  }));
}

World Names(uint32_t count) {
  std::vector<RuleInput> rules;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string name = fmt::format("{}api-{}.example.com", i % 2 == 0 ? "" : "*.", i);
    rules.push_back(ToNames({name}, {Tcp(PortOf(i))}));
  }
  return Compiled(std::move(rules), Questions(count, [](uint32_t i, bool allowed) {
                    const std::string name =
                        fmt::format("{}api-{}.example.{}", i % 2 == 0 ? "" : "eu.west.", i,
                                    allowed ? "com" : "net");
                    return Question{{{}, PortOf(i)}, name, *dns::wire::NameToWire(name)};
                  }));
}

enum class How { kCompiled, kWalk };

EgressRules::Verdict Ask(const World& world, const Question& question, How how) {
  if (question.name.empty()) {
    return how == How::kCompiled ? world.rules->Judge(question.to, Protocol::kTcp)
                                 : world.walk.Judge(question.to, Protocol::kTcp);
  }
  if (how == How::kWalk) return world.walk.JudgeName(question.name);
  return world.rules->JudgeName(
      {reinterpret_cast<const uint8_t*>(question.wire.data()), question.wire.size()});
}

// Both say the same, and every second question is allowed: else something else is measured than is
// said. A walk is slow: of some of them.
bool IsRight(const World& world) {
  constexpr size_t kChecked = 512;
  size_t allowed = 0, alike = 0;
  for (size_t i = 0; i < kQuestions; ++i) {
    const EgressRules::Verdict verdict = Ask(world, world.questions[i], How::kCompiled);
    allowed += verdict.allowed;
    if (i >= kChecked) continue;
    const EgressRules::Verdict walked = Ask(world, world.questions[i], How::kWalk);
    alike += walked.allowed == verdict.allowed && walked.rule == verdict.rule;
  }
  return allowed == kQuestions / 2 && alike == kChecked;
}

void Judge(benchmark::State& state, const std::function<World(uint32_t)>& make, uint32_t rules,
           How how) {
  const World world = make(rules);
  if (how == How::kCompiled && !IsRight(world)) return state.SkipWithError("not as the walk says");
  size_t at = 0, allowed = 0;
  for (const auto unused : state) {
    (void)unused;
    allowed += Ask(world, world.questions[at++ % kQuestions], how).allowed;
  }
  benchmark::DoNotOptimize(allowed);
}

struct Case {
  const char* name;
  std::function<World(uint32_t)> make;
};

void Register() {
  static const std::vector<Case> kCases = {
      {"peers", Peers},
      {"blocks", Blocks},
      {"nested", [](uint32_t rules) { return Nested(rules, "10.11.12.13", 32); }},
      {"nested6", [](uint32_t rules) { return Nested(rules, "2001:db8::7", 128); }},
      {"names", Names}};
  for (const Case& one : kCases) {
    for (const uint32_t rules : {10u, 1'000u, 10'000u}) {
      for (const How how : {How::kCompiled, How::kWalk}) {
        benchmark::RegisterBenchmark(
            fmt::format("{}/{}/{}", one.name, rules, how == How::kCompiled ? "compiled" : "walk")
                .c_str(),
            [&one, rules, how](benchmark::State& state) { Judge(state, one.make, rules, how); });
      }
    }
  }
}

}  // namespace
}  // namespace portolan::proxy

int main(int argc, char** argv) {
  portolan::proxy::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
