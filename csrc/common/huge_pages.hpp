#pragma once
#include <cstdint>

namespace pyrec {

// Asks the system to back bytes from `address` on by huge pages; to be called before their first touch. It is
// advice: a system that does not take it uses its usual pages.
void use_huge_pages(uintptr_t address, uintptr_t bytes);

}  // namespace pyrec
