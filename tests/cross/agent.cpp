// The agent in C++; main.rs says what it understands.

#include <sharecell.hpp>

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <map>
#include <poll.h>
#include <sstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace sharecell;
using Data = std::vector<unsigned char>;

// As in driver.rs.
constexpr int socket_fd = 3, inherited_fd = 4;
// A pattern's length, and up to which length bytes are written as digits.
constexpr std::size_t period = 251, short_length = 64;

struct Point {
    double x;
    std::int32_t y, z;
};
struct Wide {
    std::uint64_t words[5];
};
template <> struct sharecell::plain_data<Point> {
    static constexpr const char *name = "Point";
};
template <> struct sharecell::plain_data<Wide> {
    static constexpr const char *name = "Wide";
};

[[noreturn]] static void broken(const std::string &what) {
    std::cerr << "agent.cpp: " << what << "\n";
    std::exit(1);
}

// ---- words

// The bytes that a word means: `-`, hexadecimal digits, or `*LEN:FIRST`.
static Data decode(const std::string &word) {
    unsigned long length = 0, first = 0;
    if (std::sscanf(word.c_str(), "*%lu:%lu", &length, &first) == 2) {
        Data data(length);
        for (std::size_t i = 0; i < length; i++) data[i] = static_cast<unsigned char>((first + i) % period);
        return data;
    }
    Data data;
    for (std::size_t i = 0; word != "-" && i + 1 < word.size(); i += 2)
        data.push_back(static_cast<unsigned char>(std::stoul(word.substr(i, 2), nullptr, 16)));
    return data;
}

static std::string encode(Bytes data) {
    const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(data[i]); };
    if (data.empty()) return "-";
    if (data.size() <= short_length) {
        std::string digits;
        for (std::size_t i = 0; i < data.size(); i++) {
            digits += "0123456789abcdef"[at(i) / 16];
            digits += "0123456789abcdef"[at(i) % 16];
        }
        return digits;
    }
    for (std::size_t i = 0; i < data.size(); i++)
        if (at(i) != (at(0) + i) % period) return "garbled:" + std::to_string(data.size());
    return "*" + std::to_string(data.size()) + ":" + std::to_string(at(0));
}

// A time limit: for calls with a duration, and what they mean when they did not do what they were to.
struct Limit {
    long long ms;

    std::chrono::nanoseconds time() const {
        return ms < 0 ? std::chrono::nanoseconds::max() : std::chrono::milliseconds(ms);
    }
    void must(bool done) const {
        if (!done) throw Error(ms == 0 ? SHC_WOULD_BLOCK : SHC_TIMED_OUT, "");
    }
};

// The words of a command, one after the other.
class Words {
  public:
    explicit Words(const std::string &line) : line_(line) {}

    std::string word() {
        std::string word;
        if (!(line_ >> word)) broken("a word is missing");
        return word;
    }
    // The last word, or "".
    std::string option() {
        std::string word;
        line_ >> word;
        return word;
    }
    std::vector<std::string> rest() {
        std::vector<std::string> words;
        for (std::string word; line_ >> word;) words.push_back(word);
        return words;
    }
    long long number() { return std::stoll(word()); }
    std::size_t size() { return static_cast<std::size_t>(number()); }
    Data data() { return decode(word()); }
    Limit limit() { return {number()}; }

  private:
    std::istringstream line_;
};

static std::string flag(bool yes) { return yes ? "1" : "0"; }
static std::string died(bool yes) { return yes ? "died" : "clean"; }

static void must(Outcome outcome) {
    if (!outcome) throw Error(outcome.status(), "");
}
template <class T> static T must(Result<T> result) {
    must(result.outcome());
    return std::move(*result);
}

// ---- objects

struct Object {
    virtual ~Object() = default;
    virtual std::string command(const std::string &verb, Words &words) = 0;
    virtual void hammer(const Data &data) = 0;
    virtual Interest interest(const std::string &what) const { broken("nothing to wait for: " + what); }
    virtual void add_one() { broken("not a number"); }
    virtual std::string bytes() const { broken("not a value"); }
};

static std::unique_ptr<Segment> segment;
static std::map<std::string, std::unique_ptr<Object>> objects;
static std::unique_ptr<Bell> bell;

static Object &find(const std::string &key) {
    const auto found = objects.find(key);
    if (found == objects.end()) broken(key + " is not open");
    return *found->second;
}

// What is called back: it adds 1 to a value, and then has done well, or has not, or never returns.
static auto callback(Words &words) {
    const std::string how = words.word();
    return [how, value = &find(words.word())] {
        value->add_one();
        while (how == "stays") pause();
        return how == "works";
    };
}

template <class L> static std::string acquire(L &lock, Words &words) {
    const Limit limit = words.limit();
    limit.must(lock.try_lock_for(limit.time()));
    return died(lock.owner_died());
}

template <class L> static std::string lock_command(const std::string &verb, L &lock, Words &words) {
    if (verb == "acquire" || verb == "lock") return acquire(lock, words);
    if (verb != "release" && verb != "unlock") broken(verb);
    lock.unlock();
    return "";
}

template <class T> static T element(const Data &data) {
    T value;
    if (data.size() != sizeof value) broken("bytes of another size");
    std::memcpy(&value, data.data(), sizeof value);
    return value;
}

template <class T> struct ValueObject : Object {
    Value<T> value;
    explicit ValueObject(Value<T> value) : value(std::move(value)) {}

    static constexpr bool is_number = detail::is_integer<T> || std::is_floating_point_v<T>;

    T add(const std::string &amount) {
        if constexpr (std::is_floating_point_v<T>)
            return value.add(static_cast<T>(std::stod(amount)));
        else if constexpr (is_number)
            return value.add(static_cast<T>(std::stoll(amount)));
        else
            broken("not a number");
    }
    std::string command(const std::string &verb, Words &words) override {
        if (verb == "get") return bytes();
        if (verb == "add") return encode(bytes_of(add(words.word())));
        if (verb == "exchange") return encode(bytes_of(value.exchange(element<T>(words.data()))));
        if (verb == "compare_exchange") {
            T expected = element<T>(words.data());
            const bool changed = value.compare_exchange(expected, element<T>(words.data()));
            return flag(changed) + " " + encode(bytes_of(expected));
        }
        if (verb != "set") return lock_command(verb, value, words);
        value.set(element<T>(words.data()));
        return "";
    }
    void hammer(const Data &data) override { value.set(element<T>(data)); }
    void add_one() override { add("1"); }
    std::string bytes() const override { return encode(bytes_of(value.get())); }
};

template <class T> struct ArrayObject : Object {
    Array<T> array;
    explicit ArrayObject(Array<T> array) : array(std::move(array)) {}

    void write(std::size_t start, const Data &data) {
        // Memory of a vector is aligned for all of them.
        array.write(start, reinterpret_cast<const T *>(data.data()), data.size() / sizeof(T));
    }
    std::string command(const std::string &verb, Words &words) override {
        if (verb == "get") return encode(bytes_of(array.get(words.size())));
        if (verb == "read" || verb == "peek") {
            const std::size_t start = words.size(), count = words.size();
            if (verb == "peek") return encode(Bytes(array.data() + start, count * sizeof(T)));
            std::unique_ptr<T[]> elements(new T[count + 1]());
            array.read(start, elements.get(), count);
            return encode(Bytes(elements.get(), count * sizeof(T)));
        }
        if constexpr (std::is_same_v<T, char>) {
            if (verb == "text") return encode(array.text());
            if (verb == "raw") return encode(array.raw());
            if (verb == "set_text") return array.set_text(Bytes(words.data()).text()), "";
        }
        if (verb == "set") {
            const std::size_t index = words.size();
            array.set(index, element<T>(words.data()));
        } else if (verb == "write") {
            const std::size_t start = words.size();
            write(start, words.data());
        } else if (verb == "fill") {
            array.fill(element<T>(words.data()));
        } else if (verb == "poke") {
            const std::size_t start = words.size();
            const Data data = words.data();
            std::memcpy(static_cast<void *>(array.data() + start), data.data(), data.size());
        } else {
            return lock_command(verb, array, words);
        }
        return "";
    }
    void hammer(const Data &data) override {
        const auto guard = array.guard();
        write(0, data);
    }
};

struct LockObject : Object {
    Lock lock;
    explicit LockObject(Lock lock) : lock(std::move(lock)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "is_held") return flag(lock.holder() != 0);
        if (verb == "is_poisoned") return flag(lock.is_poisoned());
        if (verb == "clear_poison") return flag(lock.clear_poison());
        if (verb == "poison") return lock.poison(), "";
        if (verb == "repair") {
            const Limit limit = words.limit();
            guard_.emplace(must(lock.guard_or_repair_for(limit.time(), callback(words))));
            return "";
        }
        if (verb != "release" || !guard_) return lock_command(verb, lock, words);
        guard_->unlock();
        guard_.reset();
        return "";
    }
    void hammer(const Data &) override { const auto guard = lock.guard(); }
    Interest interest(const std::string &) const override { return lock.when_free(); }

  private:
    std::optional<Lock::Guard> guard_; // of a repair
};

struct RLockObject : Object {
    RLock lock;
    explicit RLockObject(RLock lock) : lock(std::move(lock)) {}

    std::string command(const std::string &verb, Words &words) override {
        return verb == "is_held" ? flag(lock.holder() != 0) : lock_command(verb, lock, words);
    }
    void hammer(const Data &) override { const auto guard = lock.guard(); }
};

struct RwLockObject : Object {
    RwLock lock;
    explicit RwLockObject(RwLock lock) : lock(std::move(lock)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "write") return acquire(lock, words);
        if (verb == "read") {
            auto guard = must(lock.shared_guard_for(words.limit().time()));
            const bool was = guard.owner_died();
            guards_.push_back(std::move(guard));
            return died(was);
        }
        if (verb == "release_write") return lock.unlock(), "";
        if (verb != "release_read") broken(verb);
        if (guards_.empty()) return lock.unlock_shared(), "";
        auto guard = std::move(guards_.back());
        guards_.pop_back();
        guard.unlock();
        return "";
    }
    void hammer(const Data &) override {
        { const auto guard = lock.shared_guard(); }
        const auto guard = lock.guard();
    }

  private:
    std::vector<SharedGuard> guards_;
};

struct ConditionObject : Object {
    Condition condition;
    explicit ConditionObject(Condition condition) : condition(std::move(condition)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "waiters") return std::to_string(condition.waiters());
        if (verb == "notify") return condition.notify(words.size()), "";
        if (verb == "notify_all") return condition.notify_all(), "";
        if (verb == "wait") {
            const Limit limit = words.limit();
            limit.must(condition.wait_for(limit.time()));
            return died(condition.owner_died());
        }
        if (verb != "wait_for") return lock_command(verb, condition, words);
        const Limit limit = words.limit();
        const Object &value = find(words.word());
        const std::string wanted = words.word();
        const bool met = condition.wait_for(limit.time(), [&] { return value.bytes() == wanted; });
        return condition.owner_died() ? "died" : flag(met);
    }
    void hammer(const Data &) override {
        const auto guard = condition.guard();
        condition.notify();
    }
};

struct EventObject : Object {
    Event event;
    explicit EventObject(Event event) : event(std::move(event)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "is_set") return flag(event.is_set());
        if (verb == "set") return event.set(), "";
        if (verb == "clear") return event.clear(), "";
        if (verb != "wait") broken(verb);
        const Limit limit = words.limit();
        limit.must(event.wait_for(limit.time()));
        return "";
    }
    void hammer(const Data &) override {
        event.set();
        event.clear();
    }
    Interest interest(const std::string &) const override { return event.when_set(); }
};

struct BarrierObject : Object {
    Barrier barrier;
    explicit BarrierObject(Barrier barrier) : barrier(std::move(barrier)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "wait") return std::to_string(barrier.wait_for(words.limit().time()));
        if (verb == "wait_with") {
            const Limit limit = words.limit();
            return std::to_string(barrier.wait_for(limit.time(), callback(words)));
        }
        if (verb == "parties") return std::to_string(barrier.parties());
        if (verb == "n_waiting") return std::to_string(barrier.n_waiting());
        if (verb == "is_broken") return flag(barrier.is_broken());
        if (verb == "abort") return barrier.abort(), "";
        if (verb != "reset") broken(verb);
        return barrier.reset(), "";
    }
    void hammer(const Data &) override { barrier.wait(); }
};

struct SemaphoreObject : Object {
    Semaphore semaphore;
    explicit SemaphoreObject(Semaphore semaphore) : semaphore(std::move(semaphore)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "value") return std::to_string(semaphore.value());
        if (verb == "release") return semaphore.release(static_cast<std::uint32_t>(words.number())), "";
        if (verb != "acquire") broken(verb);
        const Limit limit = words.limit();
        limit.must(semaphore.try_acquire_for(limit.time()));
        return "";
    }
    void hammer(const Data &) override {
        semaphore.acquire();
        semaphore.release();
    }
    Interest interest(const std::string &) const override { return semaphore.when_free(); }
};

// What was taken of a queue or a pipe, and what was reserved.
template <class C> struct InPlace {
    std::optional<Taken<C>> taken;
    std::optional<Reserved<C>> place;

    template <class T> static T out_of(std::optional<T> &held) {
        if (!held) throw Error(SHC_ERR_NOT_HELD, "nothing is held");
        T out = std::move(*held);
        held.reset();
        return out;
    }
    std::string command(const std::string &verb, Words &words) {
        if (verb == "release") return out_of(taken).release(), "";
        if (verb == "put_back") return out_of(taken).put_back(), "";
        if (verb == "abort") return out_of(place).abort(), "";
        if (verb != "write" && verb != "commit") broken(verb);
        const Data data = words.data();
        if (!place) throw Error(SHC_ERR_NOT_HELD, "nothing is reserved");
        std::memcpy(place->data(), data.data(), data.size());
        if (verb == "commit") out_of(place).commit(data.size());
        return "";
    }
};

struct QueueObject : Object {
    Queue queue;
    InPlace<shc_queue> held;
    explicit QueueObject(Queue queue) : queue(std::move(queue)) {}

    std::string many(Words &words) {
        const Limit limit = words.limit();
        std::string all;
        for (const auto &item : must(queue.get_many_for(words.size(), limit.time())))
            all += " " + encode(item);
        return all.substr(1);
    }
    std::string command(const std::string &verb, Words &words) override {
        if (verb == "qsize") return std::to_string(queue.qsize());
        if (verb == "capacity") return std::to_string(queue.capacity());
        if (verb == "empty") return flag(queue.empty());
        if (verb == "full") return flag(queue.full());
        if (verb == "is_shutdown") return flag(queue.is_shutdown());
        if (verb == "shutdown") return queue.shutdown(), "";
        if (verb == "task_done") return queue.task_done(), "";
        if (verb == "get_many") return many(words);
        if (verb == "get") return encode(must(queue.get_for(words.limit().time())));
        if (verb == "put") {
            const Limit limit = words.limit();
            return must(queue.put_for(words.data(), limit.time())), "";
        }
        if (verb == "put_many") {
            const Limit limit = words.limit();
            std::vector<Data> items;
            for (const std::string &word : words.rest()) items.push_back(decode(word));
            return std::to_string(must(queue.put_many_for(items, limit.time())));
        }
        if (verb == "recv") {
            const auto &item = held.taken.emplace(must(queue.recv_for(words.limit().time())));
            return std::to_string(item.number()) + " " + std::to_string(item.deliveries()) + " " +
                   encode(item.bytes());
        }
        if (verb == "reserve") {
            const Limit limit = words.limit();
            return held.place.emplace(must(queue.reserve_for(words.size(), limit.time()))), "";
        }
        if (verb != "join") return held.command(verb, words);
        const Limit limit = words.limit();
        limit.must(queue.join_for(limit.time()));
        return "";
    }
    void hammer(const Data &data) override {
        queue.put(data);
        must(queue.get());
    }
    Interest interest(const std::string &what) const override {
        return what == "readable" ? queue.readable() : queue.writable();
    }
};

struct PipeObject : Object {
    Pipe pipe;
    InPlace<shc_pipe> held;
    explicit PipeObject(Pipe pipe) : pipe(std::move(pipe)) {}

    std::string command(const std::string &verb, Words &words) override {
        if (verb == "can") return flag(pipe.can_recv()) + " " + flag(pipe.can_send());
        if (verb == "poll") return flag(pipe.poll_for(words.limit().time()));
        if (verb == "recv") return encode(must(pipe.recv_for(words.limit().time())));
        if (verb == "recv_into") {
            Data buffer(words.size());
            buffer.resize(must(pipe.recv_into(buffer.data(), buffer.size())));
            return encode(buffer);
        }
        if (verb == "recv_in_place")
            return encode(held.taken.emplace(must(pipe.recv_in_place_for(words.limit().time()))).bytes());
        if (verb == "reserve") return held.place.emplace(pipe.reserve(words.size())), "";
        if (verb != "send") return held.command(verb, words);
        const Limit limit = words.limit();
        return must(pipe.send_for(words.data(), limit.time())), "";
    }
    void hammer(const Data &data) override { pipe.send(data); }
    Interest interest(const std::string &what) const override {
        return what == "readable" ? pipe.readable() : pipe.writable();
    }
};

// ---- commands

template <class O, class T> static std::string keep(const std::string &key, T object) {
    objects[key] = std::make_unique<O>(std::move(object));
    return "";
}

template <class T> static std::string get_value(bool create, const std::string &name, Words &words) {
    return keep<ValueObject<T>>(name, create ? Value<T>::create(*segment, name, element<T>(words.data()))
                                             : Value<T>::open(*segment, name));
}

template <class T> static std::string get_array(bool create, const std::string &name, Words &words) {
    auto array = create ? Array<T>::create(*segment, name, words.size()) : Array<T>::open(*segment, name);
    const std::size_t size = array.size();
    keep<ArrayObject<T>>(name, std::move(array));
    return std::to_string(size);
}

template <class T>
static std::string get_typed(bool array, bool create, const std::string &name, Words &words) {
    return array ? get_array<T>(create, name, words) : get_value<T>(create, name, words);
}

static std::string get_cell(bool array, bool create, const std::string &name, Words &words) {
    const std::string type = words.word();
    if (type == "b") return get_typed<std::int8_t>(array, create, name, words);
    if (type == "B") return get_typed<std::uint8_t>(array, create, name, words);
    if (type == "h") return get_typed<std::int16_t>(array, create, name, words);
    if (type == "H") return get_typed<std::uint16_t>(array, create, name, words);
    if (type == "i") return get_typed<std::int32_t>(array, create, name, words);
    if (type == "I") return get_typed<std::uint32_t>(array, create, name, words);
    if (type == "l" || type == "q") return get_typed<std::int64_t>(array, create, name, words);
    if (type == "L" || type == "Q") return get_typed<std::uint64_t>(array, create, name, words);
    if (type == "f") return get_typed<float>(array, create, name, words);
    if (type == "d") return get_typed<double>(array, create, name, words);
    if (type == "c") return get_typed<char>(array, create, name, words);
    if (type == "?") return get_typed<bool>(array, create, name, words);
    if (type == "Point") return get_typed<Point>(array, create, name, words);
    if (type == "Wide") return get_typed<Wide>(array, create, name, words);
    broken("type " + type);
}

template <class O, class T> static std::string get_named(bool create, const std::string &name) {
    return keep<O>(name, create ? T::create(*segment, name) : T::open(*segment, name));
}

static std::string get_semaphore(bool create, const std::string &name, Words &words) {
    if (!create) return keep<SemaphoreObject>(name, Semaphore::open(*segment, name));
    SemaphoreOptions options(static_cast<std::uint32_t>(words.number()));
    const std::string sort = words.option();
    options.bounded(sort == "bounded").undo(sort == "undo");
    return keep<SemaphoreObject>(name, Semaphore::create(*segment, name, options));
}

static std::string get_queue(bool create, const std::string &name, Words &words) {
    if (!create) return keep<QueueObject>(name, Queue::open(*segment, name));
    QueueOptions options(static_cast<std::uint64_t>(words.number()));
    const auto largest = static_cast<std::uint64_t>(words.number());
    if (largest) options.max_item(largest);
    options.joinable(words.option() == "joinable");
    return keep<QueueObject>(name, Queue::create(*segment, name, options));
}

static std::string get(const std::string &kind, bool create, const std::string &name, Words &words) {
    if (kind == "value" || kind == "array") return get_cell(kind == "array", create, name, words);
    if (kind == "lock") return get_named<LockObject, Lock>(create, name);
    if (kind == "rlock") return get_named<RLockObject, RLock>(create, name);
    if (kind == "rwlock") return get_named<RwLockObject, RwLock>(create, name);
    if (kind == "condition") return get_named<ConditionObject, Condition>(create, name);
    if (kind == "event") return get_named<EventObject, Event>(create, name);
    if (kind == "semaphore") return get_semaphore(create, name, words);
    if (kind == "queue") return get_queue(create, name, words);
    if (kind != "barrier") broken("kind " + kind);
    if (!create) return keep<BarrierObject>(name, Barrier::open(*segment, name));
    return keep<BarrierObject>(name,
                               Barrier::create(*segment, name, static_cast<std::uint32_t>(words.number())));
}

static std::string get_pipe(const std::string &verb, const std::string &name, Words &words) {
    if (verb == "create") {
        PipeOptions options;
        options.duplex(words.word() == "duplex");
        options.capacity(static_cast<std::uint64_t>(words.number()));
        auto [a, b] = Pipe::create(*segment, name, options);
        keep<PipeObject>(name + " A", std::move(a));
        return keep<PipeObject>(name + " B", std::move(b));
    }
    const std::string end = words.word(), key = name + " " + end;
    const End which = end == "A" ? End::a : End::b;
    if (verb == "open") return keep<PipeObject>(key, Pipe::open(*segment, name, which));
    PipeOptions options;
    options.duplex(words.word() == "duplex");
    return keep<PipeObject>(key, Pipe::open_or_create(*segment, name, which, options));
}

static std::string joined(std::vector<std::string> words) {
    std::string all;
    for (const std::string &word : words) all += (all.empty() ? "" : " ") + word;
    return all;
}

// Becomes another program, which inherits a descriptor of the segment.
[[noreturn]] static void become(const std::vector<std::string> &words) {
    std::vector<char *> arguments;
    for (const std::string &word : words) arguments.push_back(const_cast<char *>(word.c_str()));
    arguments.push_back(nullptr);
    dup2(segment->to_fd(), inherited_fd); // which clears close-on-exec
    execvp(arguments[0], arguments.data());
    broken("exec");
}

static std::string list_objects() {
    std::vector<std::string> lines;
    for (const ObjectInfo &o : segment->objects()) {
        lines.push_back(o.name + ":" + std::to_string(static_cast<unsigned>(o.kind)) + ":" +
                        (o.typecode ? o.typecode : '-') + ":" + std::to_string(o.count));
    }
    std::sort(lines.begin(), lines.end());
    return joined(lines);
}

static std::string list_participants() {
    std::vector<std::uint32_t> pids;
    for (const Participant &one : segment->participants())
        if (one.alive) pids.push_back(one.pid);
    std::sort(pids.begin(), pids.end());
    std::vector<std::string> words;
    for (const std::uint32_t pid : pids) words.push_back(std::to_string(pid));
    return joined(words);
}

// A segment over the memory that is in a file.
static Segment over_memory(const std::string &name, const std::string &path) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0) broken("open");
    const auto size = static_cast<std::size_t>(file.st_size);
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) broken("mmap");
    close(fd);
    return Segment::open_or_create_over(name, memory, size);
}

static std::string segment_command(const std::string &verb, Words &words) {
    const auto is_now = [](Segment made) { segment = std::make_unique<Segment>(std::move(made)); };
    if (verb == "create") {
        const std::string name = words.word();
        is_now(Segment::create(
            name, SegmentOptions().limit(static_cast<std::uint64_t>(words.number())).ephemeral()));
    } else if (verb == "open") {
        is_now(Segment::open(words.word()));
    } else if (verb == "anonymous") {
        is_now(Segment::create_anonymous(SegmentOptions().limit(static_cast<std::uint64_t>(words.number()))));
    } else if (verb == "over") {
        const std::string name = words.word();
        is_now(over_memory(name, words.word()));
    } else if (verb == "receive") {
        is_now(Segment::receive_over(socket_fd));
    } else if (verb == "inherited") {
        is_now(Segment::from_fd(inherited_fd));
    } else if (verb == "send") {
        segment->send_over(socket_fd);
    } else if (verb == "exec") {
        become(words.rest());
    } else if (verb == "is_anonymous") {
        return flag(segment->is_anonymous());
    } else if (verb == "unlink") {
        Segment::unlink(words.word());
    } else if (verb == "is_unlinked") {
        return flag(segment->is_unlinked());
    } else if (verb == "limit") {
        return std::to_string(segment->limit());
    } else if (verb == "size") {
        return std::to_string(segment->size());
    } else if (verb == "remove") {
        segment->remove(words.word());
    } else if (verb == "recover") {
        segment->recover();
    } else if (verb == "objects") {
        return list_objects();
    } else if (verb == "participants") {
        return list_participants();
    } else {
        broken(verb);
    }
    return "";
}

static std::string with_space(std::string key) {
    std::replace(key.begin(), key.end(), '/', ' ');
    return key;
}

// What words like `readable:q` mean. `pidfds` gets the descriptors that had to be opened.
static std::vector<Interest> interests(const std::vector<std::string> &words, std::vector<int> &pidfds) {
    std::vector<Interest> all;
    for (const std::string &word : words) {
        const std::size_t colon = word.find(':');
        const std::string what = word.substr(0, colon), name = word.substr(colon + 1);
        if (what == "exited") {
            pidfds.push_back(static_cast<int>(syscall(SYS_pidfd_open, std::stoi(name), 0)));
            all.push_back(Interest::exited(pidfds.back()));
        } else {
            all.push_back(find(with_space(name)).interest(what));
        }
    }
    return all;
}

static std::string wait_for_any(Words &words) {
    const Limit limit = words.limit();
    const std::vector<std::string> given = words.rest();
    std::vector<int> pidfds;
    const auto ready = wait_any_for(interests(given, pidfds), limit.time());
    for (const int fd : pidfds) close(fd);
    limit.must(!ready.empty());
    std::vector<std::string> found;
    for (const std::size_t i : ready) found.push_back(given[i]);
    return joined(found);
}

static std::string bell_command(const std::string &verb, Words &words) {
    if (!bell) bell = std::make_unique<Bell>();
    if (verb == "poll") {
        pollfd loop = {bell->fd(), POLLIN, 0};
        return flag(poll(&loop, 1, static_cast<int>(words.number())) == 1);
    }
    std::vector<int> none;
    if (verb == "arm") return bell->arm(interests(words.rest(), none)), "";
    if (verb != "clear") broken(verb);
    return bell->clear(), "";
}

static void reply(const std::string &line) { std::cout << line << std::endl; }

// Does something over and over, until the process is killed.
[[noreturn]] static void hammer(Words &words) {
    Object &object = find(with_space(words.word()));
    const Data both[2] = {words.data(), words.data()};
    reply("ok");
    for (std::size_t i = 0;; i ^= 1) object.hammer(both[i]);
}

static std::string reset() {
    bell.reset();
    objects.clear();
    if (segment) segment->close();
    segment.reset();
    return "";
}

static std::string run(const std::string &line) {
    Words words(line);
    const std::string kind = words.word();
    if (kind == "reset") return reset();
    if (kind == "hammer") hammer(words);
    if (kind == "wait_any") return wait_for_any(words);
    const std::string verb = words.word();
    if (kind == "segment") return segment_command(verb, words);
    if (kind == "bell") return bell_command(verb, words);
    const std::string name = words.word();
    const bool opens = verb == "create" || verb == "open" || verb == "open_or_create";
    if (kind == "pipe" && opens) return get_pipe(verb, name, words);
    if (opens) return get(kind, verb == "create", name, words);
    const std::string key = kind == "pipe" ? name + " " + words.word() : name;
    Object &object = find(key);
    if (verb != "close") return object.command(verb, words);
    objects.erase(key);
    return "";
}

int main() {
    reply("\nready");
    for (std::string line; std::getline(std::cin, line);) {
        try {
            const std::string answer = run(line);
            reply(answer.empty() ? "ok" : "ok " + answer);
        } catch (const Error &error) { reply("error " + std::to_string(error.code()) + " " + error.what()); }
    }
}
