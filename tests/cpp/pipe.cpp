// Pipes in C++: both directions, messages and places as guards, polling, and the end-of-file.

#include "check.hpp"

#include <optional>
#include <thread>

using namespace sharecell;

static std::string text(const std::vector<std::byte> &bytes) { return std::string(Bytes(bytes).text()); }

static void duplex(const Segment &segment) {
    auto [a, b] = Pipe::create(segment, "duplex", PipeOptions().capacity(2));
    CHECK(a.is_duplex() && b.is_duplex());
    CHECK(a.can_send() && a.can_recv() && b.can_send() && b.can_recv());
    CHECK(a.try_recv().outcome().would_block() && a.recv_for(a_moment).outcome().timed_out());
    CHECK(!a.poll() && !a.poll_for(a_moment));
    b.send("to a");
    CHECK(a.poll() && a.poll_for(ages) && !b.poll());
    a.send("to b");
    CHECK(a.send_for(std::string(2 << 20, 'x'), ages));
    CHECK(a.try_send("x").would_block() && a.send_for("x", a_moment).timed_out());
    char buffer[4];
    CHECK(*b.recv_into(buffer, sizeof buffer) == 4 && std::string_view(buffer, 4) == "to b");
    THROWS(SHC_ERR_BUFFER_TOO_SMALL, b.recv_into(buffer, sizeof buffer));
    CHECK(b.recv()->size() == 2 << 20);
    CHECK(text(*a.recv()) == "to a");
    {
        Pipe again = Pipe::open(segment, "duplex", End::b);
        again.send("more");
    }
    CHECK(text(*a.try_recv()) == "more");
    THROWS(SHC_ERR_WRONG_SIZE, Pipe::open_or_create(segment, "duplex", End::a));
    b.send("last");
    b.close();
    CHECK(text(*a.recv_for(ages)) == "last" && a.poll());
    CHECK(a.recv().outcome().closed() && a.try_recv_in_place().outcome().closed());
    CHECK(a.recv_into(buffer, sizeof buffer).outcome().closed());
    CHECK(a.try_send("x").closed() && a.try_reserve(1).outcome().closed());
    THROWS(SHC_CLOSED, a.send("x"));
    THROWS(SHC_CLOSED, a.reserve(1));
    THROWS(SHC_CLOSED, Pipe::open(segment, "duplex", End::b));
    THROWS(SHC_ERR_INVALID_HANDLE, b.send("x"));
}

static void simplex(const Segment &segment) {
    auto [a, b] = Pipe::create(segment, "simplex", PipeOptions().duplex(false));
    CHECK(!a.is_duplex() && !b.is_duplex());
    CHECK(!a.can_send() && !b.can_recv());
    THROWS(SHC_ERR_UNSUPPORTED, a.send("x"));
    THROWS(SHC_ERR_UNSUPPORTED, b.recv());
    b.send("one way");
    CHECK(a.recv()->size() == 7);
}

static void by_a_function(const Segment &segment) {
    auto [a, b] = Pipe::create(segment, "by a function");
    std::string got;
    const auto take = [&](Bytes message) {
        got = message.text();
        return got != "later";
    };
    CHECK(a.try_recv_with(take).outcome().would_block());
    CHECK(a.recv_with_for(a_moment, take).outcome().timed_out());
    b.send("now");
    b.send("later");
    CHECK(*a.recv_with(take) && got == "now");
    CHECK(!*a.try_recv_with(take) && got == "later");
    bool thrown = false;
    try {
        (void)a.recv_with([](Bytes) -> bool { throw 1; });
    } catch (int) { thrown = true; }
    CHECK(thrown && text(*a.recv()) == "later");
    b.close();
    CHECK(a.recv_with_for(ages, take).outcome().closed());
}

static void in_place(const Segment &segment) {
    auto [a, b] = Pipe::create(segment, "in place");
    for (std::size_t size : {std::size_t(0), std::size_t(1), std::size_t(100000)}) {
        {
            MessageSlot slot = a.reserve(size + 1);
            for (std::byte &byte : slot) byte = std::byte{7};
            slot.commit(size);
            auto abandoned = a.try_reserve(10);
            CHECK(abandoned);
        }
        {
            Message message = *b.recv_in_place();
            CHECK(message.size() == size && message.deliveries() == 1);
            for (std::byte byte : message) CHECK(byte == std::byte{7});
            CHECK(b.try_recv_in_place().outcome().would_block());
        }
        CHECK(b.recv_in_place_for(a_moment).outcome().timed_out());
    }
    a.send("unread");
    b.recv_in_place()->put_back();
    CHECK(b.recv_in_place()->deliveries() == 2 && b.try_recv().outcome().would_block());
}

// More than the segment may ever hold.
static void any_length(const Segment &segment) {
    auto [a, b] = Pipe::create(segment, "any length");
    const std::string huge(70 << 20, 'h');
    std::thread sender([&b = b, &huge] {
        for (int i = 0; i < 2; i++) b.send(huge);
    });
    CHECK(text(*a.recv()) == huge);
    CHECK(a.recv_in_place()->text() == huge);
    sender.join();
}

// A child answers until nobody holds the other end; then this process sees the child's death.
static void with_a_child(const Segment &segment) {
    std::optional<Pipe> a = Pipe::open_or_create(segment, "child", End::a);
    const signpost opened = new_signpost();
    const pid_t child = start_child([&] {
        Pipe b = Pipe::open(segment, "child", End::b);
        reached(opened);
        while (auto message = b.recv_in_place()) {
            if (message->text() == "die") kill(getpid(), SIGKILL);
            b.send(*message);
        }
    });
    await(opened);
    for (int i = 0; i < 1000; i++) {
        a->send(std::to_string(i));
        CHECK(text(*a->recv()) == std::to_string(i));
    }
    std::thread waiter([&] { CHECK(a->recv().outcome().closed()); });
    a->send("die");
    waiter.join();
    CHECK(a->try_send("x").closed());
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

int main() {
    Segment segment = new_segment("pipe");
    duplex(segment);
    simplex(segment);
    by_a_function(segment);
    in_place(segment);
    any_length(segment);
    with_a_child(segment);
    std::puts("ok");
}
