// QKJIT_SIMT_ASAN: 1 in a build with ASan, which GCC and clang tell in different ways.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define QKJIT_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QKJIT_SIMT_ASAN 1
#endif
#endif

#ifndef QKJIT_SIMT_ASAN
#define QKJIT_SIMT_ASAN 0
#endif
