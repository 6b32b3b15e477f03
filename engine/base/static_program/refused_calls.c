// Linked into programs that bring their C library along (POTLUCK_STATIC). Android ends an app that
// makes a system call which is not on its list, by a signal (SIGSYS); other systems refuse with
// ENOSYS, and the C library then does without. Here the first is turned into the second, before the
// C library begins: it makes such calls itself (set_robust_list, rseq).
//
// A signal that is blocked mends nothing, so this one never is; and on x86-64, where common calls
// are not on the list, those that threads make all the time are replaced.
//
// C, since it is entered before C++ could begin.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

// The kernel's, which differs from the C library's.
struct kernel_action {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)(void);
  unsigned long mask;
};

enum { kRefusedByFilter = 1 };  // SYS_SECCOMP: another SIGSYS means something else

#if defined(__x86_64__)

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long fourth __asm__("r10") = d;
  register long fifth __asm__("r8") = e;
  register long sixth __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                   : "rcx", "r11", "memory");
  return result;
}

void potluck_return_from_signal(void);
__asm__(
    ".text\n"
    ".globl potluck_return_from_signal\n"
    ".hidden potluck_return_from_signal\n"
    "potluck_return_from_signal:\n"
    "  mov $15, %eax\n"
    "  syscall\n");

static long poll_with(long files, long count, long milliseconds) {
  struct timespec patience = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  const long given = (int)milliseconds < 0 ? 0 : (long)&patience;
  return call(SYS_ppoll, files, count, given, 0, sizeof(long), 0);
}

// Old calls, which newer architectures do not have, by those that took their place.
static long stand_in(long number, long a, long b, long c, long d) {
  const long here = AT_FDCWD;
  switch (number) {
    case SYS_poll:
      return poll_with(a, b, c);
    case SYS_epoll_wait:
      return call(SYS_epoll_pwait, a, b, c, d, 0, sizeof(long));
    case SYS_access:
      return call(SYS_faccessat, here, a, b, 0, 0, 0);
    case SYS_stat:
      return call(SYS_newfstatat, here, a, b, 0, 0, 0);
    case SYS_lstat:
      return call(SYS_newfstatat, here, a, b, AT_SYMLINK_NOFOLLOW, 0, 0);
    case SYS_readlink:
      return call(SYS_readlinkat, here, a, b, c, 0, 0);
    case SYS_unlink:
      return call(SYS_unlinkat, here, a, 0, 0, 0, 0);
    case SYS_rmdir:
      return call(SYS_unlinkat, here, a, AT_REMOVEDIR, 0, 0, 0);
    case SYS_mkdir:
      return call(SYS_mkdirat, here, a, b, 0, 0, 0);
    case SYS_rename:
      return call(SYS_renameat, here, a, here, b, 0, 0);
    case SYS_link:
      return call(SYS_linkat, here, a, here, b, 0, 0);
    case SYS_symlink:
      return call(SYS_symlinkat, a, here, b, 0, 0, 0);
    case SYS_chmod:
      return call(SYS_fchmodat, here, a, b, 0, 0, 0);
    case SYS_pipe:
      return call(SYS_pipe2, a, 0, 0, 0, 0, 0);
    case SYS_dup2:
      return a == b ? b : call(SYS_dup3, a, b, 0, 0, 0, 0);
    default:
      return -ENOSYS;
  }
}

static void answer_refused(ucontext_t* context, int number) {
  greg_t* registers = context->uc_mcontext.gregs;
  registers[REG_RAX] = stand_in(number, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                                registers[REG_R10]);
}

#elif defined(__aarch64__)

static long call(long number, long a, long b, long c, long d, long e, long f) {
  (void)e;
  (void)f;
  register long eighth __asm__("x8") = number;
  register long first __asm__("x0") = a;
  register long second __asm__("x1") = b;
  register long third __asm__("x2") = c;
  register long fourth __asm__("x3") = d;
  __asm__ volatile("svc 0"
                   : "+r"(first)
                   : "r"(eighth), "r"(second), "r"(third), "r"(fourth)
                   : "memory");
  return first;
}

static void answer_refused(ucontext_t* context, int number) {
  (void)number;
  context->uc_mcontext.regs[0] = (unsigned long long)-ENOSYS;
}

#endif

static void on_refusal(int signal_number, siginfo_t* info, void* context) {
  (void)signal_number;
  if (info->si_code == kRefusedByFilter) answer_refused(context, info->si_syscall);
}

// Runs before the C library: no stack protector, no thread-local memory, nothing to relocate.
__attribute__((no_stack_protector, used, visibility("hidden"))) void potluck_catch_refusals(void) {
  struct kernel_action action = {0};
  action.handler = on_refusal;
  // What stands in for a call may be refused, too.
  action.flags = SA_SIGINFO | SA_NODEFER | SA_RESTART;
#ifdef __x86_64__
  action.flags |= 0x04000000;  // SA_RESTORER
  action.restorer = potluck_return_from_signal;
#endif
  (void)call(SYS_rt_sigaction, SIGSYS, (long)&action, 0, sizeof action.mask, 0, 0);
}

// Where the kernel enters the program. What the C library's own entry is to find in registers and
// on the stack is there as before.
#if defined(__x86_64__)
__asm__(
    ".text\n"
    ".globl potluck_start\n"
    ".type potluck_start, @function\n"
    "potluck_start:\n"
    "  xor %ebp, %ebp\n"
    "  push %rdx\n"
    "  sub $8, %rsp\n"
    "  call potluck_catch_refusals\n"
    "  add $8, %rsp\n"
    "  pop %rdx\n"
    "  jmp _start\n");
#elif defined(__aarch64__)
__asm__(
    ".text\n"
    ".globl potluck_start\n"
    ".type potluck_start, %function\n"
    "potluck_start:\n"
    "  stp x0, x30, [sp, #-16]!\n"
    "  bl potluck_catch_refusals\n"
    "  ldp x0, x30, [sp], #16\n"
    "  b _start\n");
#endif

// From here on: what takes the place of the C library's functions of the same names.

// pthread_create() calls it with all signals blocked, and takes clone where there is none. The new
// thread has this mask, too, when it makes a call that may be refused (set_robust_list).
int __clone3(void* arguments, size_t size, int (*function)(void*), void* argument) {
  (void)arguments;
  (void)size;
  (void)function;
  (void)argument;
  const unsigned long refusals = 1UL << (SIGSYS - 1);
  (void)call(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&refusals, 0, sizeof refusals, 0, 0);
  errno = ENOSYS;
  return -1;
}

// "All signals" of libzmq's threads.
int sigfillset(sigset_t* set) {
  memset(set, 0xff, sizeof *set);
  return sigdelset(set, SIGSYS);
}

#ifdef __x86_64__

int epoll_wait(int epoll, struct epoll_event* events, int most, int milliseconds) {
  return epoll_pwait(epoll, events, most, milliseconds, NULL);
}

int poll(struct pollfd* files, nfds_t count, int milliseconds) {
  const struct timespec patience = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
  return ppoll(files, count, milliseconds < 0 ? NULL : &patience, NULL);
}

#endif
