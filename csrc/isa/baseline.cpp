#define PYREC_ISA baseline
#define PYREC_VECTOR_BYTES 16
#include "isa/bodies.hpp"
