#include "pipeline/stages/child_process.h"

#include "base/check.h"
#include "base/fd.h"
#include "formats/printable.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace neuros::pipeline {
namespace {

using Clock = std::chrono::steady_clock;

/// Of standard error that an error shows.
constexpr size_t kErrorTailBytes = 1024;
constexpr size_t kChunkBytes = 64 << 10;
/// Read of one file before looking at the time again; more than a pipe holds.
constexpr int kChunksPerTurn = 64;

tl::unexpected<base::Error> system_error(const std::string& what, int code) {
  return base::fail(what + ": " + std::strerror(code), base::ErrorKind::kIo);
}

struct Pipe {
  base::Fd read, write;

  static base::Result<Pipe> create() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("pipe", errno);
    return Pipe{base::Fd(ends[0]), base::Fd(ends[1])};
  }
};

void set_nonblocking(const base::Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

/// Writing to a program that has stopped reading is an error code here and no signal.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocked() {
    if (sigismember(&before_, SIGPIPE) != 0) return;
    const timespec at_once{};
    while (sigtimedwait(&pipe_, nullptr, &at_once) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t pipe_, before_;
};

/// What the program gets of us: its three standard files, a folder, a group of its own, and every
/// signal as a program expects it.
class SpawnRules {
 public:
  SpawnRules() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnRules() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnRules(const SpawnRules&) = delete;
  SpawnRules& operator=(const SpawnRules&) = delete;

  void set_standard_file(int number, const base::Fd& fd) {
    posix_spawn_file_actions_adddup2(&files_, fd.get(), number);
  }
  void set_folder(const std::string& folder) {
    if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&files_, folder.c_str());
  }
  void close_all_others() { posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1); }

  base::Result<pid_t> spawn(const std::vector<std::string>& command) const {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    pid_t pid = -1;
    const int code =
        posix_spawnp(&pid, command.front().c_str(), &files_, &attributes_, words.data(), environ);
    if (code != 0) return system_error("cannot be started", code);
    return pid;
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

/// A process that was started; killed with its group and waited for at the latest when this goes.
class RunningChild {
 public:
  explicit RunningChild(pid_t pid)
      : pid_(pid), exited_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~RunningChild() { end(); }
  RunningChild(const RunningChild&) = delete;
  RunningChild& operator=(const RunningChild&) = delete;

  /// Readable once the process has exited. Not open: the system has no such thing.
  const base::Fd& exited() const { return exited_; }

  /// The status that waitpid gives. Kills what still runs; the process itself is not waited for
  /// before that, so that its number cannot be another's.
  int end() {
    if (pid_ < 0) return status_;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status_;
  }

 private:
  pid_t pid_;
  int status_ = 0;
  base::Fd exited_;
};

/// Becomes readable when `stop` is requested.
class StopSignal {
 public:
  explicit StopSignal(std::stop_token stop)
      : raised_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        callback_(std::move(stop), Raise{raised_.get()}) {}

  const base::Fd& raised() const { return raised_; }

 private:
  struct Raise {
    int fd;
    void operator()() const {
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(fd, &one, sizeof one);
    }
  };
  base::Fd raised_;
  std::stop_callback<Raise> callback_;
};

/// Moves bytes between us and a running program until it has exited.
class Conversation {
 public:
  Conversation(const ChildProcess& process, std::string_view input, base::Fd in, base::Fd out,
               base::Fd err)
      : process_(process),
        input_(input),
        in_(std::move(in)),
        out_(std::move(out)),
        err_(std::move(err)),
        deadline_(Clock::now() + process.timeout) {
    for (const base::Fd* fd : {&in_, &out_, &err_}) set_nonblocking(*fd);
    if (input_.empty()) in_ = base::Fd();
  }

  base::Result<> hold(const base::Fd& exited, const base::Fd& stopped) {
    for (;;) {
      std::array<pollfd, 5> polled{{{in_.get(), POLLOUT, 0},
                                    {out_.get(), POLLIN, 0},
                                    {err_.get(), POLLIN, 0},
                                    {exited.get(), POLLIN, 0},
                                    {stopped.get(), POLLIN, 0}}};
      if (::poll(polled.data(), polled.size(), remaining_ms()) < 0 && errno != EINTR) {
        return system_error("poll", errno);
      }
      if (polled[4].revents != 0) return base::fail("stopped", base::ErrorKind::kCancelled);
      if (polled[0].revents != 0) feed();
      // What it wrote before it exited is there already; what it left running may keep the other
      // ends open for ever.
      TRY(drain());
      if (polled[3].revents != 0) return {};
      if (Clock::now() < deadline_) continue;
      return base::fail("no end after " + std::to_string(process_.timeout.count() / 1000) + " ms");
    }
  }

  std::string take_output() { return std::move(output_); }
  const std::string& error_tail() const { return errors_; }

 private:
  int remaining_ms() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1 << 30));
  }

  void feed() {
    while (!input_.empty()) {
      const ssize_t written =
          ::write(in_.get(), input_.data(), std::min(input_.size(), kChunkBytes));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno == EAGAIN) return;
      if (written < 0) break;  // it reads no more
      input_.remove_prefix(static_cast<size_t>(written));
    }
    in_ = base::Fd();
  }

  base::Result<> drain() {
    for (int i = 0; i < kChunksPerTurn && read_some(err_, errors_); ++i) {
      if (errors_.size() > kErrorTailBytes) errors_.erase(0, errors_.size() - kErrorTailBytes);
    }
    for (int i = 0; i < kChunksPerTurn && read_some(out_, output_); ++i) {
      if (output_.size() <= process_.output_bytes_max) continue;
      return base::fail("more than " + std::to_string(process_.output_bytes_max) +
                        " bytes of output");
    }
    return {};
  }

  /// False: there is nothing now, or never will be.
  static bool read_some(base::Fd& from, std::string& to) {
    if (!from.is_open()) return false;
    std::array<char, kChunkBytes> chunk;
    const ssize_t got = ::read(from.get(), chunk.data(), chunk.size());
    if (got > 0) to.append(chunk.data(), static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) from = base::Fd();
    return got > 0 || (got < 0 && errno == EINTR);
  }

  const ChildProcess& process_;
  std::string_view input_;
  base::Fd in_, out_, err_;
  Clock::time_point deadline_;
  std::string output_, errors_;
};

/// nullopt: it ended well.
std::optional<std::string> problem_of(int status) {
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  if (WEXITSTATUS(status) == 0) return std::nullopt;
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

base::Result<std::string> run(const ChildProcess& process, std::string_view input,
                              std::stop_token stop) {
  const StopSignal stop_signal(std::move(stop));
  if (!stop_signal.raised().is_open()) return system_error("eventfd", errno);
  Pipe in = TRY(Pipe::create());
  Pipe out = TRY(Pipe::create());
  Pipe err = TRY(Pipe::create());
  SpawnRules rules;
  rules.set_standard_file(STDIN_FILENO, in.read);
  rules.set_standard_file(STDOUT_FILENO, out.write);
  rules.set_standard_file(STDERR_FILENO, err.write);
  rules.set_folder(process.folder);
  rules.close_all_others();
  const pid_t pid = TRY(rules.spawn(process.command));
  RunningChild child(pid);
  for (base::Fd* theirs : {&in.read, &out.write, &err.write}) *theirs = base::Fd();
  if (!child.exited().is_open()) return system_error("pidfd_open", errno);
  Conversation conversation(process, input, std::move(in.write), std::move(out.read),
                            std::move(err.read));
  TRY(conversation.hold(child.exited(), stop_signal.raised()));
  const std::optional<std::string> problem = problem_of(child.end());
  if (!problem) return conversation.take_output();
  const std::string tail = formats::printable(conversation.error_tail(), 4 * kErrorTailBytes);
  return base::fail(*problem + (tail.empty() ? "" : ": " + tail));
}

}  // namespace

base::Result<std::string> run_child(const ChildProcess& process, std::string_view input,
                                    std::stop_token stop) {
  CHECK(!process.command.empty());
  const std::string name = "exec " + formats::printable(process.command.front());
  for (const std::string& word : process.command) {
    // Programs would see what is before it, and nothing of the rest.
    if (word.find('\0') != word.npos) return base::fail(name + ": an argument has a zero byte");
  }
  const SigpipeBlocked blocked;
  auto output = run(process, input, std::move(stop));
  if (!output) return tl::unexpected(base::with_context(std::move(output).error(), name));
  return output;
}

}  // namespace neuros::pipeline
