// Segments in C++: options, lists, errors, and handles that are moved and destroyed in any order.

#include "check.hpp"

#include <optional>
#include <type_traits>

using namespace sharecell;

static_assert(std::is_nothrow_move_constructible_v<Segment> && !std::is_copy_constructible_v<Segment>);
static_assert(std::is_nothrow_move_assignable_v<Value<int>> && !std::is_copy_assignable_v<Value<int>>);
static_assert(std::is_nothrow_move_constructible_v<Queue> && !std::is_copy_constructible_v<Queue>);
static_assert(std::is_nothrow_move_constructible_v<Item> && !std::is_copy_constructible_v<Item>);
static_assert(std::is_nothrow_move_constructible_v<Slot> && !std::is_copy_constructible_v<Slot>);
static_assert(std::is_nothrow_move_constructible_v<Lock::Guard> &&
              !std::is_copy_constructible_v<Lock::Guard>);

static bool exists(const char *name) {
    try {
        Segment::open(name);
        return true;
    } catch (const Error &error) {
        CHECK(error.code() == SHC_ERR_NOT_FOUND);
        return false;
    }
}

static void options_and_errors() {
    const char *name = unique_name("options");
    THROWS(SHC_ERR_NOT_FOUND, Segment::open(name));
    THROWS(SHC_ERR_NOT_FOUND, Segment::open(name, SegmentOptions().wait(a_moment)));
    THROWS(SHC_ERR_INVALID_NAME, Segment::create("a/b"));
    THROWS(SHC_ERR_INVALID_NAME, Segment::create(std::string_view("a\0b", 3)));
    THROWS(SHC_ERR_INVALID_ARGUMENT, Segment::create(name, SegmentOptions().participants(5000)));
    Segment segment = Segment::create(name, SegmentOptions().limit(8 << 20).mode(0640).participants(9));
    THROWS(SHC_ERR_ALREADY_EXISTS, Segment::create(name));
    CHECK(segment.name() == name && segment.limit() == 8 << 20 && segment.size() > 0);
    Segment same = Segment::open_or_create(name);
    CHECK(!same.is_unlinked());
    Segment::unlink(name);
    CHECK(segment.is_unlinked() && same.is_unlinked() && !exists(name));
    THROWS(SHC_ERR_NOT_FOUND, Segment::unlink(name));
    Segment::gc();
    try {
        Segment::open("a/b");
    } catch (const std::runtime_error &error) {
        CHECK(std::string_view(error.what()).find("a/b") != std::string_view::npos);
    }
}

static void lists() {
    Segment segment = new_segment("lists");
    CHECK(segment.objects().empty());
    std::vector<Lock> locks;
    for (int i = 0; i < 40; i++) locks.push_back(Lock::create(segment, "lock " + std::to_string(i)));
    auto value = Value<double>::create(segment, "value", 1.5);
    const std::vector<ObjectInfo> objects = segment.objects();
    CHECK(objects.size() == 41);
    int found = 0;
    for (const ObjectInfo &object : objects) {
        if (object.name != "value") continue;
        found++;
        CHECK(object.kind == Kind::value && object.typecode == 'd' && object.element_size == 8);
    }
    CHECK(found == 1);
    const std::vector<Participant> participants = segment.participants();
    CHECK(participants.size() == 1 && participants[0].alive);
    CHECK(participants[0].pid == static_cast<std::uint32_t>(getpid()) && !participants[0].command.empty());
    CHECK(segment.recover() == 0);
    segment.remove("value");
    THROWS(SHC_ERR_NOT_FOUND, segment.remove("value"));
    CHECK(value.get() == 1.5);
}

static void closing() {
    Segment segment = new_segment("closing");
    {
        auto value = Value<int>::create(segment, "v");
        THROWS(SHC_ERR_BUSY, segment.close());
        CHECK(segment.limit() > 0);
    }
    segment.close();
    segment.close();
    CHECK(segment.native() == nullptr && !exists(unique_name("closing")));
    THROWS(SHC_ERR_INVALID_HANDLE, segment.limit());
    THROWS(SHC_ERR_INVALID_HANDLE, Lock::create(segment, "x"));
}

// The segment is closed with its last handle, whichever that is, and an ephemeral one is gone then.
static void any_order() {
    const char *name = unique_name("order");
    std::optional<Segment> segment = new_segment("order");
    std::optional<Queue> queue = Queue::create(*segment, "q");
    auto lock = std::make_optional(Lock::create(*segment, "l"));
    segment.reset();
    CHECK(exists(name));
    queue->put("still there");
    CHECK(queue->get()->size() == 11);
    queue.reset();
    CHECK(exists(name) && lock->try_lock());
    lock->unlock();
    lock.reset();
    CHECK(!exists(name));
}

static void moves() {
    Segment first = new_segment("first"), second = new_segment("second");
    const std::string name = first.name();
    auto a = Value<int>::create(first, "v", 1), b = Value<int>::create(second, "v", 2);
    Value<int> c = std::move(a);
    CHECK(a.native() == nullptr && c.get() == 1);
    THROWS(SHC_ERR_INVALID_HANDLE, a.get());
    THROWS(SHC_ERR_INVALID_HANDLE, a.lock());
    first = std::move(second);
    CHECK(second.native() == nullptr && exists(name.c_str()));
    // The last object of the first segment goes, and that segment with it.
    c = std::move(b);
    CHECK(c.get() == 2 && !exists(name.c_str()));
    a = std::move(c);
    CHECK(a.get() == 2);
}

int main() {
    alarm(WATCHDOG);
    options_and_errors();
    lists();
    closing();
    any_order();
    moves();
    std::puts("ok");
}
