// Programs that answer, fail, hang, ignore signals and leave children behind.
#include "hailo/process.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

namespace graupel::hailo {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

struct Ran {
  Finished finished;
  std::vector<std::string> lines;
};

Ran sh(const std::string& text, RunOptions options = {}) {
  Ran ran;
  options.on_line = [&](std::string_view line) { ran.lines.emplace_back(line); };
  const Result<Finished> finished = run_command({{"/bin/sh", "-c", text}, ""}, options);
  EXPECT_TRUE(finished.ok());
  if (finished.ok()) ran.finished = *finished;
  return ran;
}

TEST(Process, LinesOfBothStreamsAndTheExitStatus) {
  const Ran ran = sh("printf 'one\\ntwo 50%%\\rtwo 100%%\\r\\n'; printf 'last' >&2; exit 7");
  EXPECT_EQ(ran.finished.ending, Ending::kExited);
  EXPECT_EQ(ran.finished.code, 7);
  EXPECT_THAT(ran.lines, ElementsAre("one", "two 50%", "two 100%", "last"));
}

TEST(Process, WordsReachTheProgramAsTheyAre) {
  std::vector<std::string> lines;
  RunOptions options;
  options.on_line = [&](std::string_view line) { lines.emplace_back(line); };
  ASSERT_TRUE(run_command({{"printf", "%s\\n", "a b", "$(id)", "'; ls"}, "/"}, options).ok());
  EXPECT_THAT(lines, ElementsAre("a b", "$(id)", "'; ls"));
}

TEST(Process, AProgramThatIsNotThere) {
  const Result<Finished> finished = run_command({{"/no/such/program"}, ""}, {});
  ASSERT_FALSE(finished.ok());
  EXPECT_EQ(finished.error().code, ErrorCode::kDevice);
  EXPECT_FALSE(find_program("/no/such/program"));
  EXPECT_FALSE(find_program("no-such-program-on-path"));
  EXPECT_TRUE(find_program("sh"));
}

TEST(Process, ASignalIsNoExitStatus) {
  EXPECT_EQ(sh("kill -SEGV $$").finished.ending, Ending::kSignal);
}

TEST(Process, ATimeoutEndsTheWholeGroup) {
  RunOptions options;
  options.timeout = 1s;
  const auto begin = std::chrono::steady_clock::now();
  const Ran ran = sh("trap '' TERM; sleep 60 & echo $!; wait; sleep 60", options);
  EXPECT_EQ(ran.finished.ending, Ending::kTimeout);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  ASSERT_EQ(ran.lines.size(), 1u);
  const pid_t grandchild = std::stoi(ran.lines[0]);
  for (int i = 0; i < 100 && ::kill(grandchild, 0) == 0; ++i) std::this_thread::sleep_for(20ms);
  // Reparented to a process that may be slow to collect it: a zombie counts as gone.
  EXPECT_TRUE(::kill(grandchild, 0) != 0 || ::kill(grandchild, SIGKILL) == 0);
}

TEST(Process, AnInterruptStopsIt) {
  const int fd = ::eventfd(1, 0);
  RunOptions options;
  options.interrupt_fd = fd;
  EXPECT_EQ(sh("sleep 60", options).finished.ending, Ending::kInterrupted);
  ::close(fd);
}

TEST(Process, SignalsAreHeldBackAndSeen) {
  Interrupts interrupts;
  ASSERT_GE(interrupts.fd(), 0);
  RunOptions options;
  options.interrupt_fd = interrupts.fd();
  EXPECT_EQ(sh("sleep 0.1").finished.ending, Ending::kExited);
  ::pthread_kill(::pthread_self(), SIGINT);
  EXPECT_EQ(sh("sleep 60", options).finished.ending, Ending::kInterrupted);
}

TEST(Process, ABackgroundChildThatKeepsTheOutputDoesNotHoldUs) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(sh("sleep 5 & exit 0").finished.code, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
}

}  // namespace
}  // namespace graupel::hailo
