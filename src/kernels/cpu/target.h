#pragma once

/// Regions compiled for one instruction set, without architecture flags for the whole file:
///
///   NEUROS_TARGET_BEGIN("avx2,fma,f16c")
///   ... functions and templates, no lambdas ...
///   NEUROS_TARGET_END
///
/// Everything inside belongs in a namespace of its own, so that no copy of an inline function
/// compiled here can be the one the linker keeps for the rest of the program. Include all headers
/// before the region.

#define NEUROS_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512cd"
#define NEUROS_TARGET_VNNI NEUROS_TARGET_AVX512 ",avx512vnni,avx512bf16"

#define NEUROS_PRAGMA(text) _Pragma(#text)

#if defined(__clang__)
#define NEUROS_TARGET_BEGIN(features) \
  NEUROS_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define NEUROS_TARGET_END NEUROS_PRAGMA(clang attribute pop)
#define NEUROS_UNROLL NEUROS_PRAGMA(clang loop unroll(full))
#else
#define NEUROS_TARGET_BEGIN(features) \
  NEUROS_PRAGMA(GCC push_options) NEUROS_PRAGMA(GCC target(features))
#define NEUROS_TARGET_END NEUROS_PRAGMA(GCC pop_options)
#define NEUROS_UNROLL NEUROS_PRAGMA(GCC unroll 16)
#endif

// GCC 12's own AVX-512 headers start "undefined" vectors from themselves (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define NEUROS_INLINE inline __attribute__((always_inline))
