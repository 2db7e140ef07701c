#pragma once

namespace neuros::base::testing {

#if defined(__has_feature)  // Clang
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NEUROS_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NEUROS_SANITIZED
#endif
/// Whether this build's sanitizer takes time and memory of its own: shadows, and what was freed.
#ifdef NEUROS_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace neuros::base::testing
