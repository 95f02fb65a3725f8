# The CUDA kernels of _core: the runtime linked statically, so that the module loads without a driver.
if(NOT PYREC_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "PYREC_CUDA = ${PYREC_CUDA} must be AUTO, ON or OFF")
endif()
if(PYREC_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
endif()
if(PYREC_CUDA STREQUAL "OFF" OR (PYREC_CUDA STREQUAL "AUTO" AND NOT CMAKE_CUDA_COMPILER))
  message(STATUS "CUDA kernels: not built")
  target_sources(_core PRIVATE csrc/cuda/absent.cpp)
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90)  # of 90 its PTX too, for what comes after
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
message(STATUS "CUDA kernels: ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")

add_library(pyrec_cuda OBJECT ${cuda_kernels})
target_include_directories(pyrec_cuda PRIVATE csrc)
target_compile_options(pyrec_cuda PRIVATE
  -std=c++20 -Xcompiler=-Wall,-Wextra  # CMake before 3.26 does not know that this nvcc has C++20
  $<$<BOOL:${PYREC_WERROR}>:--Werror=all-warnings>
  $<$<BOOL:${PYREC_WERROR}>:-Xcompiler=-Werror>)
set_target_properties(pyrec_cuda PROPERTIES
  POSITION_INDEPENDENT_CODE ON
  CUDA_VISIBILITY_PRESET hidden CUDA_RUNTIME_LIBRARY Static)

string(REPLACE ";" " " architectures "${CMAKE_CUDA_ARCHITECTURES}")
string(REPLACE "-real" "" architectures "${architectures}")
set_source_files_properties(csrc/cuda/runtime.cpp PROPERTIES
  COMPILE_DEFINITIONS "PYREC_CUDA_ARCHITECTURES=\"${architectures}\"")
target_sources(_core PRIVATE csrc/cuda/runtime.cpp ${cuda_table} $<TARGET_OBJECTS:pyrec_cuda>)
target_link_libraries(_core PRIVATE CUDA::cudart_static)
target_link_options(_core PRIVATE -Wl,--exclude-libs,ALL)  # torch brings a runtime of its own
set_target_properties(_core PROPERTIES LINKER_LANGUAGE CXX)
