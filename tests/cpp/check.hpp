// What the programs of tests/cpp need beside tests/c/check.h.

#ifndef CHECK_HPP
#define CHECK_HPP

#include "../c/check.h"

#include <sharecell.hpp>

#include <functional>

// The expression throws an Error of this code, which says something.
#define THROWS(expected, expression)                                                                         \
    do {                                                                                                     \
        shc_status thrown = SHC_OK;                                                                          \
        try {                                                                                                \
            static_cast<void>(expression);                                                                   \
        } catch (const sharecell::Error &error) {                                                            \
            thrown = error.code();                                                                           \
            CHECK(*error.what() != 0);                                                                       \
        }                                                                                                    \
        check_status(__FILE__, __LINE__, #expression, expected, thrown);                                     \
    } while (0)

constexpr std::chrono::milliseconds a_moment(3);
constexpr std::chrono::seconds ages(180);

// A segment that goes when its last handle does.
inline sharecell::Segment new_segment(const char *test) {
    alarm(WATCHDOG);
    return sharecell::Segment::create(unique_name(test),
                                      sharecell::SegmentOptions().ephemeral().limit(64 << 20));
}

// Starts a child that does this.
inline pid_t start_child(const std::function<void()> &body) {
    return start([](void *with) { (*static_cast<const std::function<void()> *>(with))(); },
                 const_cast<std::function<void()> *>(&body));
}

#endif
