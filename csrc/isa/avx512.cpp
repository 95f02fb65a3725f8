#define PYREC_ISA avx512
#define PYREC_VECTOR_BYTES 64
#include "isa/bodies.hpp"
