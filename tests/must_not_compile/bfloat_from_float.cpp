// error: conversion from .float. to non-scalar type|no viable conversion from 'float'
#include "tensor/half.h"

void f(float x) {
#if defined(FIXED)
  const auto y = diptych::bf16(x);
#else
  const diptych::bf16 y = x;  // rounding must be visible
#endif
  (void)y;
}
