// Runs a program that may not make every system call. For tests, on x86-64.
//
//   call_filter LIST PROGRAM [ARGUMENT...]   those of a list and no others, as Android runs apps:
//                                            another call ends the program by SIGSYS. Lines of the
//                                            list: a name and a number, or '#' and a comment.
//   call_filter --old PROGRAM [ARGUMENT...]  those that Linux 4.14 has; what came later fails as it
//                                            does there. Files refuse direct reads, as on FUSE.
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr int kExitNotStarted = 125;  // as env(1) and others have it

sock_filter statement(uint16_t code, uint32_t value) {
  return {code, 0, 0, value};
}

// The filter sees a seccomp_data; its two first fields are the number and the architecture.
std::vector<sock_filter> filter_of_numbers() {
  std::vector<sock_filter> filter;
  filter.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
  filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64});
  filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  filter.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  return filter;
}

std::vector<sock_filter> make_filter(const std::vector<uint32_t>& calls) {
  std::vector<sock_filter> filter = filter_of_numbers();
  for (uint32_t call : calls) {
    filter.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, call});
    filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
  return filter;
}

// Where the third argument of `call` passes a test, the call fails: its value is invalid.
void refuse_argument(uint32_t call, uint16_t test, uint32_t value,
                     std::vector<sock_filter>* filter) {
  constexpr uint32_t kThird = offsetof(seccomp_data, args) + 2 * sizeof(uint64_t);
  filter->push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 4, call});
  filter->push_back(statement(BPF_LD | BPF_W | BPF_ABS, kThird));  // its low half
  filter->push_back({static_cast<uint16_t>(BPF_JMP | test | BPF_K), 0, 1, value});
  filter->push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL));
  filter->push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

std::vector<sock_filter> make_old_system() {
  constexpr uint32_t kFirstLater = 333;  // io_pgetevents, of 4.18; later calls have later numbers
  constexpr uint32_t kFirstLaterAdvice = 20;  // MADV_COLD, of 5.4
  std::vector<sock_filter> filter = filter_of_numbers();
  filter.push_back({BPF_JMP | BPF_JGE | BPF_K, 0, 1, kFirstLater});
  filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  refuse_argument(SYS_openat, BPF_JSET, O_DIRECT, &filter);
  refuse_argument(SYS_madvise, BPF_JGE, kFirstLaterAdvice, &filter);
  filter.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return filter;
}

// Whether every line could be read.
bool read_list(const char* path, std::vector<uint32_t>* calls) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line.starts_with('#')) continue;
    const size_t space = line.find(' ');
    uint32_t number = 0;
    const char* begin = line.data() + (space == std::string::npos ? line.size() : space + 1);
    const auto [end, failure] = std::from_chars(begin, line.data() + line.size(), number);
    if (failure != std::errc() || end != line.data() + line.size()) {
      std::fprintf(stderr, "call_filter: %s: expected a name and a number, found \"%s\"\n", path,
                   line.c_str());
      return false;
    }
    calls->push_back(number);
  }
  if (!calls->empty()) return true;
  std::fprintf(stderr, "call_filter: %s: no system calls, or no such file\n", path);
  return false;
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: call_filter LIST|--old PROGRAM [ARGUMENT...]\n", stderr);
    return kExitNotStarted;
  }
  std::vector<sock_filter> filter;
  if (std::strcmp(argv[1], "--old") == 0) {
    filter = make_old_system();
  } else {
    std::vector<uint32_t> calls;
    if (!read_list(argv[1], &calls)) return kExitNotStarted;
    filter = make_filter(calls);
  }
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
    std::fprintf(stderr, "call_filter: this system takes no filter: %s\n", std::strerror(errno));
    return kExitNotStarted;
  }
  execv(argv[2], argv + 2);
  std::fprintf(stderr, "call_filter: %s: %s\n", argv[2], std::strerror(errno));
  return kExitNotStarted;
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  return potluck::run(argc, argv);
}
