// main() of every Catch2 executable: Catch2 2 generates it here, Catch2 3 brings a library with
// one.
#if !__has_include(<catch2/catch_test_macros.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
