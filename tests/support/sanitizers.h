// Whether the tests are instrumented: an allocator of its own, terabytes of reserved addresses. GCC
// says so with macros, clang 14 with features.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POTLUCK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define POTLUCK_SANITIZED 1
#endif
#endif

#ifndef POTLUCK_SANITIZED
#define POTLUCK_SANITIZED 0
#endif
