#pragma once
// For functions in headers that several instruction sets include: inlined always, they leave no shared
// symbol.
#define PYREC_INLINE inline __attribute__((always_inline))
