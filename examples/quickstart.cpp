// A parent puts numbers on a queue; a child takes them, keeps their squares and adds them up.

#include <sharecell.hpp>

#include <iostream>
#include <mutex>
#include <sys/wait.h>
#include <unistd.h>

constexpr std::int64_t numbers = 100;

int main() {
    using namespace sharecell;
    const std::string name = "quickstart-cpp-" + std::to_string(getpid());
    auto segment = Segment::create(name, SegmentOptions().ephemeral());
    auto total = Value<std::int64_t>::create(segment, "total");
    auto squares = Array<std::int64_t>::create(segment, "squares", numbers);
    auto lock = Lock::create(segment, "lock");
    auto jobs = Queue::create(segment, "jobs");

    const pid_t child = fork();
    if (child == 0) {
        while (auto job = jobs.recv()) { // given to somebody else if we are killed here
            const auto number = job->as<std::int64_t>();
            squares.set(static_cast<std::size_t>(number), number * number);
            std::lock_guard hold(lock);
            total.set(total.get() + number * number);
        }
        _exit(0);
    }
    for (std::int64_t number = 0; number < numbers; number++) jobs.put(bytes_of(number));
    jobs.shutdown(); // no more; what is there is still got
    waitpid(child, nullptr, 0);

    std::cout << "the last of " << numbers << " squares is " << squares.get(numbers - 1) << ", their sum "
              << total.get() << "\n";
    return total.get() == 328350 ? 0 : 1;
}
