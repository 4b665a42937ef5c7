// error: conversion from .float. to non-scalar type|no viable conversion from 'float'
#include "tensor/half.h"

void f(float x) {
#if defined(FIXED)
  const auto y = diptych::f16(x);
#else
  const diptych::f16 y = x;  // rounding must be visible
#endif
  (void)y;
}
