// Values and arrays in C++: the types' typecodes, plain data, sums, text, elements in place.

#include "check.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>

using namespace sharecell;

struct Point {
    double x, y;
    std::int64_t when;
};

inline bool operator==(const Point &a, const Point &b) {
    return a.x == b.x && a.y == b.y && a.when == b.when;
}

template <> struct sharecell::plain_data<Point> {
    static constexpr const char *name = "Point";
};

// A value of T has the typecode, and carries these values.
template <class T> static void has_typecode(const Segment &segment, char typecode, T one, T two) {
    const std::string name(1, typecode);
    auto value = Value<T>::create(segment, name, one);
    const shc_type type = code(typecode);
    shc_value *from_c = nullptr;
    OK(shc_value_open(segment.native(), name.c_str(), &type, &from_c));
    OK(shc_value_close(from_c));
    auto again = Value<T>::open(segment, name);
    CHECK(again.get() == one);
    again.set(two);
    CHECK(value.exchange(one) == two && *value.address() == one);
    T expected = two;
    CHECK(!value.compare_exchange(expected, two) && expected == one);
    CHECK(value.compare_exchange(expected, two) && value.get() == two);
    CHECK(value.update([&](T) { return one; }) == two && value.exchange(two) == one);
    segment.remove(name);
}

static void typecodes(const Segment &segment) {
    has_typecode<bool>(segment, '?', true, false);
    has_typecode<char>(segment, 'c', 'x', 'y');
    has_typecode<signed char>(segment, 'b', -1, 2);
    has_typecode<unsigned char>(segment, 'B', 255, 2);
    has_typecode<std::byte>(segment, 'B', std::byte{1}, std::byte{2});
    has_typecode<short>(segment, 'h', -3, 4);
    has_typecode<unsigned short>(segment, 'H', 65535, 4);
    has_typecode<int>(segment, 'i', -5, 6);
    has_typecode<unsigned>(segment, 'I', 4000000000, 6);
    has_typecode<long long>(segment, 'q', -7, 8);
    has_typecode<std::int64_t>(segment, 'l', -7, 8);
    has_typecode<unsigned long long>(segment, 'Q', ~0ull, 8);
    has_typecode<std::uint64_t>(segment, 'L', ~0ull, 8);
    has_typecode<float>(segment, 'f', 0.5f, 2);
    has_typecode<double>(segment, 'd', 0.1, 2);
    auto value = Value<int>::create(segment, "int");
    CHECK(value.get() == 0);
    THROWS(SHC_ERR_WRONG_TYPE, Value<float>::open(segment, "int"));
    THROWS(SHC_ERR_WRONG_TYPE, Value<Point>::open_or_create(segment, "int"));
    THROWS(SHC_ERR_ALREADY_EXISTS, Value<int>::create(segment, "int"));
    THROWS(SHC_ERR_WRONG_KIND, Array<int>::open(segment, "int"));
    CHECK(Value<int>::open_or_create(segment, "int", 9).get() == 0);
}

// Adding `amount` to a new value makes it `sum`.
template <class T> static void adds(const Segment &segment, T start, T amount, T sum) {
    auto value = Value<T>::create(segment, "sum", start);
    CHECK(value.add(amount) == start);
    CHECK(value.get() == sum);
    segment.remove("sum");
}

static void sums(const Segment &segment) {
    adds<signed char>(segment, 127, 1, -128);
    adds<unsigned char>(segment, 100, 200, 44);
    adds<unsigned short>(segment, 1, 65535, 0);
    adds<int>(segment, 1, -3, -2);
    adds<unsigned>(segment, 5, 4294967295u, 4);
    adds<long long>(segment, std::numeric_limits<long long>::max(), 1, std::numeric_limits<long long>::min());
    adds<unsigned long long>(segment, 2, ~0ull, 1);
    adds<float>(segment, 1, 0.5f, 1.5f);
    adds<double>(segment, 1, 0.1, 1.1);

    auto value = Value<int>::create(segment, "threads");
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back([&] {
            for (int j = 0; j < 10000; j++) value.add(1);
        });
    for (auto &thread : threads) thread.join();
    CHECK(value.get() == 30000);
}

// Whatever was written there, what is read is a bool.
static void bools(const Segment &segment) {
    auto value = Value<bool>::create(segment, "bool");
    auto array = Array<bool>::create(segment, "bools", 3);
    const unsigned char two = 2;
    OK(shc_value_set(value.native(), &two, 1));
    OK(shc_array_write(array.native(), 1, &two, 1));
    unsigned char seen = 0;
    const bool read = value.get();
    std::memcpy(&seen, &read, 1);
    CHECK(seen == 1);
    CHECK((array.to_vector() == std::vector<bool>{false, true, false}));
    array.set(2, true);
    CHECK(array.get(2) && value.exchange(false) && !value.get());
}

static void plain(const Segment &segment) {
    const Point here{1, 2, 3}, there{4, 5, 6};
    auto value = Value<Point>::create(segment, "point", here);
    CHECK(value.get() == here && value.exchange(there) == here);
    Point expected = here;
    CHECK(!value.compare_exchange(expected, here) && expected == there);
    CHECK(value.compare_exchange(expected, here));
    auto points = Array<Point>::create(segment, "points", 4);
    points.fill(there);
    points.set(1, here);
    CHECK(points.get(0) == there && points.data()[1] == here);
}

static void arrays(const Segment &segment) {
    auto array = Array<std::int32_t>::create(segment, "array", 10);
    const std::int32_t some[] = {1, 2, 3};
    array.write(7, some, 3);
    array.set(0, -1);
    std::int32_t seen[4];
    array.read(6, seen, 4);
    CHECK(seen[0] == 0 && seen[1] == 1 && seen[3] == 3);
    CHECK((array.to_vector() == std::vector<std::int32_t>{-1, 0, 0, 0, 0, 0, 0, 1, 2, 3}));
    CHECK(array.size() == 10 && !array.empty());
    array.fill(2, 3, 7);
    CHECK(std::accumulate(array.begin(), array.end(), 0) == 26);
    std::sort(array.begin(), array.end());
    CHECK(array.get(9) == 7 && array.data()[0] == -1);
    THROWS(SHC_ERR_OUT_OF_RANGE, array.get(10));
    THROWS(SHC_ERR_OUT_OF_RANGE, array.set(SIZE_MAX, 1));
    THROWS(SHC_ERR_OUT_OF_RANGE, array.read(8, seen, 3));
    THROWS(SHC_ERR_INVALID_ARGUMENT, array.read(0, seen, SIZE_MAX / 2));
    THROWS(SHC_ERR_OUT_OF_RANGE, array.fill(8, 3, 1));
    THROWS(SHC_ERR_WRONG_SIZE, Array<std::int32_t>::open_or_create(segment, "array", 11));
    CHECK(Array<std::int32_t>::open(segment, "array").size() == 10);
    Array<std::int32_t> moved = std::move(array);
    CHECK(moved.size() == 10 && array.empty() && array.data() == nullptr && array.begin() == array.end());

    auto text = Array<char>::create(segment, "text", 5);
    CHECK(text.text().empty());
    text.set_text("abcde");
    CHECK(text.text() == "abcde");
    text.set_text("xy");
    CHECK(text.text() == "xy" && text.raw() == std::string("xy\0de", 5));
    THROWS(SHC_ERR_TOO_LARGE, text.set_text("abcdef"));
}

// Values and arrays are locks, too.
static void locked(const Segment &segment) {
    auto value = Value<int>::create(segment, "locked");
    auto array = Array<int>::create(segment, "locked array", 1);
    {
        std::scoped_lock both(value, array);
        CHECK(!value.try_lock() && !array.try_lock_for(a_moment));
    }
    auto guard = value.guard();
    CHECK(!guard.owner_died() && !value.try_guard());
    guard.unlock();
    CHECK(value.try_guard() && array.guard_for(a_moment));
}

int main() {
    Segment segment = new_segment("cells");
    typecodes(segment);
    sums(segment);
    bools(segment);
    plain(segment);
    arrays(segment);
    locked(segment);
    std::puts("ok");
}
