#pragma once

/// Functions that the host's compiler and the device's compile alike.

#ifdef __CUDACC__
#define NEUROS_HOST_DEVICE __host__ __device__
#else
#define NEUROS_HOST_DEVICE
#endif
