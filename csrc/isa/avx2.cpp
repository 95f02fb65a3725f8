#define PYREC_ISA avx2
#define PYREC_VECTOR_BYTES 32
#include "isa/bodies.hpp"
